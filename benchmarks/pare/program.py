"""Trains PARE with and without its attention, with and without things in front, and hybrid HMR; then hides people.

    python -m benchmarks.pare --people=1500 --steps=600 --held_out=48 --output=runs/pare_benchmark

All networks look through the same encoder, start from the same weights of it, see the same synthetic people in
batches of the same size for as many steps, and are judged on people that none has seen: without anything in front,
and with a grey square sliding over the crop. Only places where the square hides at least a tenth of the person
count. Errors are means over 14 joints, people and places. Each run is one seed.

    python -m create_datasets --lsp=True --lsp_val=True --lsp_dir=DIR --data_dir=records
    python -m benchmarks.pare --photographs=records --steps=1800

With photographs every network learns from them, too, in one half of every batch, and is judged by the joints that
it finds on those of LSP's validation.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.pare import occlusion, photographs
from hpe.errors import SettingError
from hpe.options import option
from hpe.programs import flags as program_flags

if TYPE_CHECKING:
    from hpe.inference.predictor import Predictor

_LEAST_HIDDEN = 0.1
# Validation people of which the map is drawn, and how many columns of it.
_SHOWN = 3
_PEOPLE = "synthetic_train"


@dataclasses.dataclass(frozen=True)
class BenchmarkConfig:
    """How large, and where; names are flag names."""

    people: int = option(1500, "Synthetic people to train on.")
    held_out: int = option(48, "Synthetic people to judge on.")
    steps: int = option(600, "Steps of every run.")
    batch_size: int = option(16, "Images per step.")
    img_size: int = option(64, "Side of the crops in pixels.")
    encoder: str = option("small", "Encoder of all networks.")
    encoder_weights: str = option("synthetic", "Its weights.")
    squares: tuple[str, ...] = option(
        ("0.2", "0.35", "0.5"), "Sides of the grey square, parts of the crop's."
    )
    photographs: str | None = option(
        None,
        "Folder of records lsp_train and lsp_val, and lsp_ext if it is there: train on photographs, too, and judge "
        "on those held out.",
    )
    places: int = option(6, "Places of the square along a side of the crop.")
    only: tuple[str, ...] = option((), "Train and judge these runs alone, by the names in the table.")
    seed: int = option(0, "Of all runs.")
    output: str = option("runs/pare_benchmark", "Folder of records, runs, the table and the picture.")

    def __post_init__(self):
        for name in ("people", "held_out", "steps", "batch_size", "places"):
            if getattr(self, name) < 1:
                raise SettingError(name, "must be at least 1.", getattr(self, name))
        try:
            shares = [float(share) for share in self.squares]
        except ValueError:
            shares = [-1.0]
        if not all(0 < share <= 1 for share in shares):
            raise SettingError("squares", "must be numbers above 0 and not above 1.", ",".join(self.squares))


# What distinguishes the runs: the system, its settings, and what of the crops is hidden in training.
RUNS: dict[str, tuple[str, dict, float]] = {
    "PARE, things in front": ("pare", {}, 0.5),
    "PARE without attention, things in front": ("pare", {"attention": False}, 0.5),
    "hybrid HMR, things in front": ("hybrid_hmr", {}, 0.5),
    "PARE": ("pare", {}, 0.0),
    "PARE without attention": ("pare", {"attention": False}, 0.0),
    "hybrid HMR": ("hybrid_hmr", {}, 0.0),
    "baseline, things in front": ("pare", {"method": "baseline"}, 0.5),
}


def main() -> None:
    """Trains what is not there yet, judges all, and writes table and picture."""
    config = program_flags.read(BenchmarkConfig)
    folder = pathlib.Path(config.output)
    if config.photographs:
        photographs.check(pathlib.Path(config.photographs))
    write_people(config, folder)
    crops = read_crops(config, folder)
    rows = {}
    for name in config.only or RUNS:
        if name not in RUNS:
            raise SettingError("only", f"must be of {'; '.join(RUNS)}.", name)
        seconds = train_run(config, folder, name)
        rows[name] = judge_run(config, crops, load_run(config, folder, name)) | {"seconds": seconds}
        print(f"{name}: {json.dumps(rows[name]['table'])}", flush=True)
    text = table(config, rows)
    (folder / "table.md").write_text(text)
    draw(config, crops, rows, folder / "error_maps.png")
    print(text)


def write_people(config: BenchmarkConfig, folder: pathlib.Path) -> None:
    """Writes synthetic people, unless they are there."""
    from hpe.programs import create_datasets

    if (folder / "data" / "synthetic_val.manifest.json").exists():
        return
    create_datasets.create(
        *create_datasets.settings(
            data_dir=str(folder / "data"),
            synthetic=config.people,
            synthetic_val=config.held_out,
            synthetic_size=192,
            num_workers=1,
        ),
        progress=False,
    )


def read_crops(config: BenchmarkConfig, folder: pathlib.Path) -> occlusion.Crops:
    """Returns the people to judge on."""
    from hpe import pipeline
    from hpe.fields import Needs

    needs = Needs(("image", "joints3d", "silhouette"), "cocoplus19")
    source = pipeline.open(
        "image",
        folder / "data",
        ["synthetic_val"],
        pipeline.PipelineConfig(img_size=config.img_size),
        needs=needs,
    )
    batches = list(source.evaluation_batches(batch_size=config.held_out).as_numpy_iterator())
    images, joints3d, silhouettes = (
        np.concatenate([batch[key] for batch in batches])[: source.count]
        for key in ("image", "joints3d", "silhouette")
    )
    return occlusion.Crops(images, joints3d, silhouettes > 0)


def run_config(config: BenchmarkConfig, folder: pathlib.Path, name: str):
    """Returns the settings of a run of `RUNS`."""
    from hpe import pipeline, systems
    from hpe.systems.settings.pare import Method
    from hpe.training.config import LearningRateSchedule, OptimizationConfig, TrainingConfig
    from hpe.training.settings import RunConfig

    system, changes, hidden = RUNS[name]
    model = {"encoder": config.encoder, "encoder_weights": config.encoder_weights, **changes}
    schedules: tuple[str, ...] = ()
    datasets, samples = (_PEOPLE,), config.people
    if config.photographs:
        datasets = photographs.mixed(_PEOPLE, pathlib.Path(config.photographs))
        samples += photographs.check(pathlib.Path(config.photographs))
    epochs = config.steps * config.batch_size / samples
    if system == "pare":
        model |= {
            "part_filters": 64,
            "map_strides": ("8", "16"),
            "method": Method(model.get("method", "pare")),
        }
        if model.get("attention", True) and model["method"] is Method.PARE:
            schedules = (f"part_loss=1@{0.5 * epochs:.3f}:0@{0.6 * epochs:.3f}",)
    else:
        # Without mocap there is no critic; what 3D truth there is counts, as for PARE.
        model |= {
            "encoder_only": True,
            "dropout": 0.1,
            "joints3d_loss_weight": 300.0,
            "body_loss_weight": 60.0,
        }
    return RunConfig(
        system,
        systems.get(system).config(**model),
        pipeline.PipelineConfig(img_size=config.img_size, occluder_probability=hidden, shuffle_buffer=2000),
        TrainingConfig(
            data_dir=str(folder / "data"),
            datasets=datasets,
            val_datasets=(),
            use_validation=False,
            batch_size=config.batch_size,
            num_epochs=100_000,
            max_steps=config.steps,
            log_every=50,
            log_img_step=10**9,
            checkpoint_steps=10**9,
            seed=config.seed,
            deterministic=False,
        ),
        OptimizationConfig(
            generator_lr=1e-3,
            lr_schedule=LearningRateSchedule.COSINE,
            clip_norm=10.0,
            loss_schedules=schedules,
        ),
    )


def run_folder(config: BenchmarkConfig, folder: pathlib.Path, name: str) -> pathlib.Path:
    """Returns the run directory of a run of `RUNS`, another one for what also learns from photographs."""
    and_photographs = " and photographs" if config.photographs else ""
    return folder / f"{name}{and_photographs}".lower().replace(",", "").replace(" ", "_")


def train_run(config: BenchmarkConfig, folder: pathlib.Path, name: str) -> float:
    """Trains one run, or goes on with it; returns the processor time of this process in seconds."""
    import keras

    from hpe.runs import RunDirectory
    from hpe.training.loop import train

    keras.backend.clear_session()
    run, before = RunDirectory(run_folder(config, folder, name)), time.process_time()
    done = (run.path / "seconds.txt").exists()
    if not done:
        train(run_config(config, folder, name), run, resume=run.params.exists(), show_progress=False)
        (run.path / "seconds.txt").write_text(f"{time.process_time() - before:.0f}\n")
    return float((run.path / "seconds.txt").read_text())


def load_run(config: BenchmarkConfig, folder: pathlib.Path, name: str) -> Predictor:
    """Returns what predicts by a run of `RUNS`."""
    from hpe.inference.predictor import Predictor
    from hpe.runs import load

    return Predictor(load(run_folder(config, folder, name)).system)


def judge_run(config: BenchmarkConfig, crops: occlusion.Crops, predictor: Predictor) -> dict:
    """Returns mean errors by the square's size, the places' errors with the middle one, and the worst place's.

    With photographs also the share of the joints that are found on those held out.
    """
    size, found, maps = config.img_size, {}, None

    def predict(images):
        return predictor(images).joints3d

    plain = occlusion.errors(predict, crops, side=0, count=config.places)
    found["none"] = plain[:, 0].mean(axis=0).tolist()
    for index, share in enumerate(config.squares):
        side = round(float(share) * size)
        errors = occlusion.errors(predict, crops, side=side, count=config.places)
        counts = occlusion.hides(crops, side=side, count=config.places) >= _LEAST_HIDDEN
        found[share] = errors[counts].mean(axis=0).tolist()
        if index == (len(config.squares) - 1) // 2:
            maps = errors[..., 0]
            # Of every person the place where the square does the most harm, as in the paper.
            worst = np.where(counts, errors[..., 0], -np.inf).max(axis=1)
            found["worst"] = [float(worst[np.isfinite(worst)].mean())]
    if config.photographs:
        found["photographs"] = photographs.found_joints(
            predictor, pathlib.Path(config.photographs), img_size=size
        )
    return {"table": found, "maps": maps}


def table(config: BenchmarkConfig, rows: dict[str, dict]) -> str:
    """Returns the table in Markdown: MPJPE / PA-MPJPE, and of photographs the joints found."""
    middle = config.squares[(len(config.squares) - 1) // 2]
    found = ["PCK@0.2, photographs"] if config.photographs else []
    titles = ["run", "nothing", *config.squares, f"worst place, {middle}", *found, "processor s"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for name, row in rows.items():
        cells = [
            " / ".join(f"{value:.0f}" for value in row["table"][key]) for key in ("none", *config.squares)
        ]
        cells.append(f"{row['table']['worst'][0]:.0f}")
        if config.photographs:
            cells.append(f"{row['table']['photographs']:.3f}")
        lines.append(f"| {name} | {' | '.join(cells)} | {row['seconds']:.0f} |")
    return "\n".join(lines) + "\n"


def draw(config: BenchmarkConfig, crops: occlusion.Crops, rows: dict[str, dict], path: pathlib.Path) -> None:
    """Draws the error maps of some people, one column a run, all in one scale."""
    from hpe.visualization.grids import grid, write_image

    shown = np.linspace(0, len(crops.images) - 1, min(_SHOWN, len(crops.images))).astype(int)
    every = np.concatenate([row["maps"][shown].ravel() for row in rows.values()])
    low, high = np.percentile(every, (2, 98))
    panels, captions = [], []
    for index in shown:
        for name, row in rows.items():
            values = row["maps"][index].reshape(config.places, config.places)
            panels.append(occlusion.draw_map(crops.images[index], values, low=low, high=high))
            captions.append(f"{name} {values.mean():.0f} mm")
    write_image(path, grid(panels, columns=len(rows), captions=captions))


def define_flags() -> None:
    """Defines the flags of this program."""
    program_flags.define(BenchmarkConfig)
