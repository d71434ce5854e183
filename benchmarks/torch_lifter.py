"""The lifter in a PyTorch loop with DataLoader, in a process of its own: `python -m benchmarks.torch_lifter FILE`.

The loop is the usual one: a dataset that returns one pose, a DataLoader that collates and shuffles, Adam. It
answers lines of JSON on stdin, {"batch": 64, "workers": 0, "epochs": 1}, by the seconds that so many epochs took.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import pathlib
import subprocess
import sys
import time

import numpy as np

from benchmarks.timing import Turns
from hpe.errors import UserError


def missing() -> str | None:
    """Returns one line that says what there is to install, or None where all is there."""
    if importlib.util.find_spec("torch") is not None:
        return None
    return "the lifter on PyTorch: not measured, for torch is not here (pip install -e '.[bench]')."


def version() -> str:
    """Returns what is installed, as text."""
    return f"torch {importlib.metadata.version('torch')}"


class TorchLifter:
    """The process with PyTorch; a context manager that ends it.

    Args:
        file: path that the poses are written to, for both sides.
        inputs: (N, I) float32, standardised.
        outputs: (N, O) float32, standardised.
        width: of the hidden layers.
        dropout: rate.
    """

    def __init__(
        self, file: pathlib.Path, inputs: np.ndarray, outputs: np.ndarray, *, width: int, dropout: float
    ):
        np.savez(file, inputs=inputs, outputs=outputs, width=width, dropout=dropout)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.torch_lifter", str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> TorchLifter:
        return self

    def __exit__(self, *_) -> None:
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # It ends by itself, and its loader's workers with it.
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._process.stderr.close()

    def epochs(self, batch: int, workers: int) -> Turns:
        """Returns what `interleaved` times: epochs of batches of this size, loaded by so many processes."""

        def run(calls: int) -> tuple[float, float]:
            question = {"batch": batch, "workers": workers, "epochs": calls}
            try:
                self._process.stdin.write(json.dumps(question) + "\n")
                self._process.stdin.flush()
                line = self._process.stdout.readline()
            except BrokenPipeError:
                line = ""
            if not line:
                raise UserError(f"the lifter on PyTorch failed: {self._process.stderr.read().strip()[-300:]}")
            answer = json.loads(line)
            return answer["seconds"], answer["processor"]

        return Turns(run)


# ---- the other process -------------------------------------------------------------------------------------


def _network(inputs: int, outputs: int, width: int, dropout: float):
    from torch import nn

    def hidden(size):
        return [nn.Linear(size, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout)]

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(*hidden(width), *hidden(width))

        def forward(self, x):
            return x + self.layers(x)

    return nn.Sequential(*hidden(inputs), Block(), Block(), nn.Linear(width, outputs))


def _serve(file: pathlib.Path) -> None:
    import torch
    from torch.utils.data import DataLoader, Dataset

    with np.load(file) as content:
        poses = dict(content)

    class Poses(Dataset):
        def __len__(self):
            return len(poses["inputs"])

        def __getitem__(self, index):
            return torch.from_numpy(poses["inputs"][index]), torch.from_numpy(poses["outputs"][index])

    torch.manual_seed(0)
    network = _network(
        poses["inputs"].shape[1], poses["outputs"].shape[1], int(poses["width"]), float(poses["dropout"])
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    criterion = torch.nn.MSELoss()
    for line in sys.stdin:
        question = json.loads(line)
        loader = DataLoader(
            Poses(),
            batch_size=question["batch"],
            shuffle=True,
            drop_last=True,
            num_workers=question["workers"],
        )
        start, used = time.perf_counter(), time.process_time()
        for _ in range(question["epochs"]):
            for inputs, outputs in loader:
                optimizer.zero_grad()
                loss = criterion(network(inputs), outputs)
                loss.backward()
                optimizer.step()
        loss.item()
        answer = {"seconds": time.perf_counter() - start, "processor": time.process_time() - used}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve(pathlib.Path(sys.argv[1]))
