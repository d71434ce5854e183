"""The experiments of HEMlets, as one command: `python -m benchmarks.hemlets`.

Those of the students' report: over-fit one picture, from scratch and from weights; ten pictures, eight to
train and two to validate. And what they could not do: many people, with and without triplets, with and
without the mirror image in prediction. All people are synthetic, so that anybody can repeat it. What is
finished is not done again: another call goes on.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from benchmarks.curves import write_svg
from benchmarks.timing import machine_class
from hpe.errors import SettingError, UserError
from hpe.options import option

# Keras and TensorFlow are imported where they are used: the help can do without.

EXPERIMENTS = ("one", "ten", "people")
_METRICS = {"mpjpe@lsp14": "MPJPE, mm", "pa_mpjpe@lsp14": "PA-MPJPE, mm", "pck0.2torso@lsp14": "PCK@0.2"}
# A dataset of a few people is repeated, so that an epoch is more than a step.
_COPIES = 64
_LINES = 5


@dataclasses.dataclass(frozen=True)
class ExperimentConfig:
    """Which experiments and how large; names are flag names."""

    only: tuple[str, ...] = option((), f"These experiments alone: {', '.join(EXPERIMENTS)}.")
    people: int = option(10000, "Synthetic people to train on.")
    val_people: int = option(500, "Synthetic people to measure on, none of whom is trained on.")
    epochs: int = option(10, "Passes over the people.")
    small_steps: int = option(400, "Steps on one and on eight pictures.")
    batch_size: int = option(16, "Images per step.")
    img_size: int = option(128, "Side of the crops in pixels.")
    encoder: str = option("movenet_lightning", "Encoder, see `encoder` of the system hemlets.")
    encoder_stride: int = option(16, "Pixels a cell of the encoder's map that the branches start from.")
    volume_size: int = option(32, "Cells along each side of the volumes.")
    branch_width: int = option(64, "Channels of the transposed convolutions.")
    feature_width: int = option(128, "Channels of the features.")
    learning_rate: float = option(1e-3, "Of Adam; it falls along half a cosine.")
    seed: int = option(0, "Of people and training.")
    output: str = option("runs/hemlets", "Folder of records, runs, table and curves.")

    def __post_init__(self):
        for name in ("people", "val_people", "epochs", "small_steps", "batch_size"):
            if getattr(self, name) < 1:
                raise SettingError(name, "must be at least 1.", getattr(self, name))
        if unknown := [name for name in self.only if name not in EXPERIMENTS]:
            raise SettingError("only", f"knows {', '.join(EXPERIMENTS)}.", unknown[0])


@dataclasses.dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        experiment: that it belongs to.
        title: what is special about it.
        data: folder of its records in the output, with `synthetic_train` and `synthetic_val`.
        epochs: passes over them.
        flags: of `train`, besides those of all runs.
        flip_tests: whether it is measured with the mirror image, without, or both.
    """

    experiment: str
    title: str
    data: str
    epochs: int
    flags: tuple[str, ...]
    flip_tests: tuple[bool, ...] = (False,)

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.experiment}_{self.title.replace(' ', '_')}"


# Weights that are published stay as they are, which spares the encoder's backward pass; trained along from its
# coarsest map, the network was stuck with the mean pose, see docs/notebook/hemlets.md.
_FROM_WEIGHTS = ("--encoder_weights=pretrained", "--freeze_epochs=1000000")
_AS_IT_IS = ("--trans_max=0", "--scale_min=1", "--scale_max=1", "--flip=False")


def plan(config: ExperimentConfig) -> list[Run]:
    """Returns the trainings of the chosen experiments."""
    chosen = config.only or EXPERIMENTS
    steps = _COPIES // min(config.batch_size, _COPIES)
    small = max(1, -(-config.small_steps // steps))
    runs = [
        Run("one", "from scratch", "one", small, (*_AS_IT_IS, "--encoder_weights=none")),
        Run("one", "from weights", "one", small, (*_AS_IT_IS, *_FROM_WEIGHTS)),
        Run("ten", "8 and 2 people", "ten", small, _FROM_WEIGHTS),
        Run(
            "people",
            "with triplets",
            "people",
            config.epochs,
            _FROM_WEIGHTS,
            (False, True),
        ),
        Run(
            "people",
            "without triplets",
            "people",
            config.epochs,
            (*_FROM_WEIGHTS, "--triplet_loss_weight=0"),
            (False, True),
        ),
    ]
    return [run for run in runs if run.experiment in chosen]


def main() -> None:
    """Runs what is missing and prints the table."""
    from hpe.programs import flags

    config = flags.read(ExperimentConfig)
    root = pathlib.Path(config.output)
    results = []
    for run in plan(config):
        _make_records(root / "data" / run.data, run.data, config)
        results.append(_finished(run, root, config))
        write_report(root, results, config)
    print((root / "table.md").read_text())
    print(f"Machine: {machine_class()}. Curves: {root / 'curves.svg'}")


def train_flags(run: Run, root: pathlib.Path, config: ExperimentConfig) -> list[str]:
    """Returns the command line of a training, without the program."""
    every = max(1, run.epochs // 10)
    return [
        "--system=hemlets",
        f"--data_dir={root / 'data' / run.data}",
        "--datasets=synthetic_train",
        f"--val_datasets={'synthetic_train' if run.experiment == 'one' else 'synthetic_val'}",
        f"--model_dir={root / run.name}",
        f"--num_epochs={run.epochs}",
        f"--validation_epochs={every}",
        f"--batch_size={min(config.batch_size, _COPIES)}",
        f"--img_size={config.img_size}",
        f"--encoder={config.encoder}",
        f"--encoder_stride={config.encoder_stride}",
        f"--volume_size={config.volume_size}",
        f"--branch_width={config.branch_width}",
        f"--feature_width={config.feature_width}",
        f"--generator_lr={config.learning_rate}",
        "--lr_schedule=cosine",
        "--bones=default_body",
        "--flip_test=False",
        f"--seed={config.seed}",
        "--log_every=10",
        "--log_img_step=1000000",
        "--keep_checkpoints=1",
        *run.flags,
    ]


def _make_records(folder: pathlib.Path, data: str, config: ExperimentConfig) -> None:
    """Writes synthetic people, unless they are there; few ones are repeated."""
    wanted = {"one": (1, 1), "ten": (8, 2), "people": (config.people, config.val_people)}[data]
    done = folder / "done.json"
    if done.is_file() and json.loads(done.read_text()) == [*wanted, config.seed]:
        return
    from hpe.records.writing import write_dataset
    from hpe.synthetic.people import SyntheticConfig
    from hpe.synthetic.source import synthetic

    for count, validation in zip(wanted, (False, True), strict=True):
        source = synthetic(
            count, SyntheticConfig(seed=config.seed), body_model="default", validation=validation
        )
        items = list(source.items)
        if not validation and count < _COPIES:
            items *= _COPIES // count
        write_dataset(
            map(source.load, items),
            folder,
            source.name,
            skeleton=source.skeleton,
            shard_size=500,
            options=source.options,
            provenance=source.provenance,
            total=len(items),
        )
    done.write_text(json.dumps([*wanted, config.seed]))


def _finished(run: Run, root: pathlib.Path, config: ExperimentConfig) -> dict:
    """Returns what a run has reached; trains and measures it if that was not done."""
    folder = root / run.name
    report = folder / "experiment.json"
    settings = dataclasses.asdict(config) | {"only": None, "output": None, "people": None, "val_people": None}
    if run.experiment == "people":
        settings |= {"people": config.people, "val_people": config.val_people}
    if report.is_file():
        found = json.loads(report.read_text())
        if found["settings"] == settings:
            return found
        raise UserError(f"{folder}: holds a run of other settings; remove it, or give another `output`.")
    start = time.monotonic()
    command = [sys.executable, "-m", "train", *train_flags(run, root, config)]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    if result.returncode:
        last = "\n".join(result.stderr.replace("\r", "\n").strip().splitlines()[-_LINES:])
        raise UserError(f"{run.name}: training failed: {last}")
    found = {
        "settings": settings,
        "experiment": run.experiment,
        "title": run.title,
        "minutes": (time.monotonic() - start) / 60,
        "measured": [measured(folder, flip) | {"flip_test": flip} for flip in run.flip_tests],
        "curves": curves(folder),
    }
    report.write_text(json.dumps(found, indent=2) + "\n")
    return found


def measured(folder: pathlib.Path, flip_test: bool) -> dict[str, float]:
    """Returns the metrics of a run on its validation people, with or without the mirror image in prediction."""
    from hpe import pipeline
    from hpe.evaluation.judging import judge
    from hpe.inference.predictor import Predictor
    from hpe.runs import load
    from hpe.training.settings import read_training

    loaded = load(folder)
    system, training = loaded.system, read_training(loaded.run)
    system.config = dataclasses.replace(system.config, flip_test=flip_test)
    source = pipeline.open(
        "image",
        training.data_dir,
        training.val_datasets,
        pipeline.CONFIGS["image"](**vars(loaded.settings.input)),
        needs=system.needs,
    )
    found = judge(Predictor(system), source, metrics=tuple(_METRICS), batch_size=16, show_progress=False)
    return found.values()


def curves(folder: pathlib.Path) -> dict[str, list]:
    """Returns loss by step of the training, and MPJPE by step of the validation."""
    from hpe.training.history import TRAIN, read_history

    found: dict[str, list] = {"loss": [], "joints": [], "mpjpe": []}
    for entry in read_history(folder / "history.jsonl"):
        keys = (
            {"loss": "loss/total", "joints": "loss/joints_loss"}
            if entry.kind == TRAIN
            else {"mpjpe": "mpjpe@lsp14"}
        )
        for name, key in keys.items():
            if (value := entry.values.get(key)) is not None:
                found[name].append([entry.step, value])
    return found


def write_report(root: pathlib.Path, results: Sequence[dict], config: ExperimentConfig) -> None:
    """Writes `table.md` and `curves.svg` of what is finished."""
    root.mkdir(parents=True, exist_ok=True)
    head = ("experiment", "", "prediction", *_METRICS.values(), "minutes")
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *_rows(results)]
    (root / "table.md").write_text("\n".join(lines) + "\n")
    panels = {
        title: {
            f"{one['experiment']}: {one['title']}": one["curves"][key]
            for one in results
            if one["experiment"] == experiment
        }
        for experiment, key, title in (
            ("one", "loss", "one picture: loss"),
            ("ten", "mpjpe", "8 and 2 people: MPJPE of the 2, mm"),
            ("people", "joints", f"{config.people} people: joints' loss"),
            ("people", "mpjpe", f"{config.val_people} held-out people: MPJPE, mm"),
        )
    }
    write_svg(root / "curves.svg", panels, xlabel="step")


def _rows(results: Sequence[dict]) -> Iterator[str]:
    names = {"one": "one picture", "ten": "ten pictures", "people": "people"}
    for one in results:
        for found in one["measured"]:
            way = "with the mirror image" if found["flip_test"] else "the crop alone"
            cells = [
                names[one["experiment"]],
                one["title"],
                way,
                *(f"{found[key]:.3f}" if "pck" in key else f"{found[key]:.1f}" for key in _METRICS),
                f"{one['minutes']:.1f}",
            ]
            yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    from hpe.programs import flags

    flags.define(ExperimentConfig)
    flags.run(main)
