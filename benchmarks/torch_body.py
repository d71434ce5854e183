"""smplx on PyTorch in a process of its own, which takes turns with the one that measures.

Two runtimes in one process have two pools of threads that get in each other's way. `Smplx` starts
`python -m benchmarks.torch_body FOLDER`, which answers lines of JSON: one function, called so often, took
so many seconds. Body and inputs go through a file in the folder, results come back as one. Without the extra
`bench` there is no such process, and `missing` says so.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.timing import Turns
from hpe.body.data import BodyModelData
from hpe.errors import UserError

PASSES = ("forward", "forward + backward")
MODES = ("eager", "compiled")
_NEEDED = ("torch", "smplx")


def missing() -> str | None:
    """Returns one line that says what there is to install, or None where all is there."""
    absent = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if not absent:
        return None
    return (
        f"smplx on PyTorch: not measured, for {' and '.join(absent)} is not here (pip install -e '.[bench]')."
    )


def versions() -> str:
    """Returns what is installed, as text."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _NEEDED)


class Smplx:
    """The process with smplx; a context manager that ends it.

    Args:
        folder: for the files that both sides read.
        data: the body.
        inputs: rotation matrices (B, 24, 3, 3) and shapes (B, 10) by batch size.
    """

    def __init__(self, folder: pathlib.Path, data: BodyModelData, inputs: Mapping[int, tuple]):
        self._folder = folder
        body = {
            "v_template": data.v_template,
            "shapedirs": data.shape_dirs,
            "posedirs": data.pose_dirs,
            "J_regressor": data.joint_regressor,
            "weights": data.weights,
            "kintree_table": np.stack([data.parents, np.arange(len(data.parents))]),
            "f": data.faces,
        }
        for batch, (rotmats, shapes) in inputs.items():
            body |= {f"rotmats{batch}": np.asarray(rotmats), f"shapes{batch}": np.asarray(shapes)}
        np.savez(folder / "body.npz", **body)
        command = [sys.executable, "-m", "benchmarks.torch_body", str(folder)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Smplx:
        return self

    def __exit__(self, *_) -> None:
        self._process.kill()
        self._process.communicate()

    def turns(self, batch: int, passes: str, mode: str, *, threads: int) -> Turns:
        """Returns what `interleaved` times: turns of the other process, with so many threads."""

        def run(calls: int) -> tuple[float, float]:
            answer = self._ask(calls, batch=batch, passes=passes, mode=mode, threads=threads)
            return answer["seconds"], answer["processor"]

        return Turns(run)

    def result(self, batch: int, passes: str, mode: str) -> dict[str, np.ndarray]:
        """Returns joints and vertices, or their gradients by rotation matrices and shape, of one call."""
        self._ask(0, batch=batch, passes=passes, mode=mode, threads=1)
        with np.load(self._folder / "result.npz") as file:
            return dict(file)

    def _ask(self, calls: int, **question) -> dict:
        try:
            self._process.stdin.write(json.dumps({"calls": calls, **question}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise UserError(f"smplx on PyTorch failed: {self._process.stderr.read().strip()[-300:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise UserError(f"smplx on PyTorch failed: {answer['error'][-300:]}")
        return answer


# ---- the other process -------------------------------------------------------------------------------------


def _functions(file: Mapping[str, np.ndarray]) -> Callable[[int, str, str, int], Callable[[], dict]]:
    """Returns what makes the function for a batch size, passes, mode and number of threads."""
    import functools

    import smplx
    import torch
    from smplx.utils import Struct

    tables = {name: file[name] for name in file if not name.startswith(("rotmats", "shapes"))}
    with contextlib.redirect_stdout(io.StringIO()):  # It remarks on the 10 shape coefficients.
        model = smplx.SMPL(
            "",
            data_struct=Struct(**tables),
            create_betas=False,
            create_global_orient=False,
            create_body_pose=False,
            create_transl=False,
        )
    model.requires_grad_(False)

    def pose(rotmats, shapes):
        output = model(betas=shapes, body_pose=rotmats[:, 1:], global_orient=rotmats[:, :1], pose2rot=False)
        return output.joints[:, : rotmats.shape[1]], output.vertices

    def weighted_mean(points):
        flat = points.reshape(len(points), -1)
        return (flat * torch.sin(torch.arange(flat.shape[1], dtype=torch.float32))).mean()

    @functools.cache
    def make(batch: int, passes: str, mode: str, threads: int):  # Compiled code is for a number of threads.
        rotmats, shapes = (torch.from_numpy(file[f"{name}{batch}"]) for name in ("rotmats", "shapes"))
        posed = torch.compile(pose, dynamic=False) if mode == "compiled" else pose
        if passes == "forward":

            def forward():
                with torch.no_grad():
                    return dict(zip(("joints", "vertices"), posed(rotmats, shapes), strict=True))

            return forward
        rotmats, shapes = (tensor.clone().requires_grad_(True) for tensor in (rotmats, shapes))

        def both():
            loss = sum(weighted_mean(points) for points in posed(rotmats, shapes))
            gradients = torch.autograd.grad(loss, (rotmats, shapes))
            return dict(zip(("rotmats", "shape"), gradients, strict=True))

        return both

    return make


def _answer(make, folder: pathlib.Path, question: dict) -> dict:
    import torch

    calls = question.pop("calls")
    torch.set_num_threads(question["threads"])
    function = make(**question)
    if not calls:
        np.savez(folder / "result.npz", **{name: value.numpy() for name, value in function().items()})
        return {}
    start, used = time.perf_counter(), time.process_time()
    for _ in range(calls):
        function()
    return {"seconds": time.perf_counter() - start, "processor": time.process_time() - used}


def _serve(folder: pathlib.Path) -> None:
    with np.load(folder / "body.npz") as file:
        make = _functions(dict(file))
    for line in sys.stdin:
        try:
            answer = _answer(make, folder, json.loads(line))
        except Exception as error:  # Whatever a compiler says: the other side has to hear of it.
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve(pathlib.Path(sys.argv[1]))
