"""What the presets reach, as one table: `python -m benchmarks.presets --output=docs/results.md`.

Judges `lightning` and `thunder` on whatever of this lies below the folder of the datasets (`HPE_DATA`, by default
../shared/data), and on synthetic people:

- Leeds Sports Pose, the validation half, crops around the labelled joints: 2D joints, silhouettes by SPIN's
  protocol, angles outside HMR's two sets of motion capture; and the first 256 of them after some steps of fitting;
- people of 96 pixels and more with joints in COCO photographs, each in its annotated box; also those in the fifth
  of the pictures that no training has seen, whose numbers end in 4 or 9;
- 300 synthetic people in postures of CMU's motion capture and of the generator, of which the picture may cut a
  part off;
- how many frames a second are followed from end to end, with one person in pictures of 640 x 480.

Everything is judged once; `--max_batches=4` is a quick look, `--resume` goes on after a stop. With `--output` the
table takes the place of the one between the marks in that file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.timing import machine_class
from hpe import files, pipeline
from hpe.errors import SettingError
from hpe.fields import Needs
from hpe.options import option
from hpe.programs import create_datasets
from hpe.programs import flags as program_flags
from hpe.runs.presets import presets

PRESETS = ("lightning", "thunder")
STEPS = (0, 10, 40)
SMALLEST = 96  # Pixels of the longer side of a box.
_BEGIN, _END = "<!-- presets: begin -->", "<!-- presets: end -->"
MOCAP = ("CMU", "jointLim")
_NOT_AT_HAND = "not at hand"

# Rows: title, where, metric, format, targets of both presets, which way is better.
LSP, COCO, COCO_FIFTH, SYNTHETIC = "lsp_val", "coco_people", "coco_people_val", "synthetic_val"
ROWS = (
    ("keypoint loss", LSP, "keypoint_loss@cocoplus19", ".2f", (2.8, 2.3), -1),
    ("PCK@0.2 of the torso, 14 joints", LSP, "pck0.2torso@lsp14", ".3f", (0.80, 0.87), 1),
    ("silhouette IoU, whole picture", LSP, "silhouette_iou@picture", ".3f", (0.68, 0.72), 1),
    ("silhouette accuracy, whole picture", LSP, "silhouette_accuracy@picture", ".3f", (None, 0.93), 1),
    ("silhouette F1, whole picture", LSP, "silhouette_f1@picture", ".3f", (None, 0.87), 1),
    ("joint angles outside motion capture, %", LSP, "angles_outside_limits@mocap", ".2f", (1.0, 1.0), -1),
    ("PCK@0.2, the fifth set aside", COCO_FIFTH, "pck0.2torso@lsp14", ".3f", (0.75, 0.80), 1),
    ("PCK@0.2, all", COCO, "pck0.2torso@lsp14", ".3f", (None, None), 1),
    ("PA-MPJPE, mm", SYNTHETIC, "pa_mpjpe@lsp14", ".0f", (65, 55), -1),
    ("MPJPE, mm", SYNTHETIC, "mpjpe@lsp14", ".0f", (100, 85), -1),
)
PLACES = {
    LSP: "LSP validation",
    COCO: f"COCO subset, people of {SMALLEST} px",
    COCO_FIFTH: f"COCO subset, people of {SMALLEST} px",
    SYNTHETIC: "synthetic people",
}
_FITTED_BATCHES = 16
_FITTED = ("pck0.2torso@lsp14", "silhouette_iou@picture", "angles_outside_limits@mocap")


@dataclasses.dataclass(frozen=True)
class PresetsConfig:
    """Where the data is, and where the table goes."""

    data: str | None = option(None, "Folder of the datasets; by default that of HPE_DATA, or ../shared/data.")
    work_dir: str = option("runs/presets", "Folder for records and for table.md.")
    output: str | None = option(None, "Markdown file whose table between the marks is replaced.")
    only: tuple[str, ...] = option(PRESETS, "Which presets.")
    resume: bool = option(False, "Take what an earlier call with the same weights has judged already.")
    max_batches: int | None = option(
        None, "Judge so many batches of 16 of each dataset alone, for a quick look."
    )

    def __post_init__(self):
        if not set(self.only) <= set(PRESETS):
            raise SettingError("only", f"must be of {', '.join(PRESETS)}.", ",".join(self.only))


def write_records(data: pathlib.Path, records: pathlib.Path) -> list[str]:
    """Writes the records of what is there and returns their names; those that lie there already are kept."""
    wanted: dict[str, dict] = {}
    if (data / "lsp_dataset").is_dir():
        wanted[LSP] = {"lsp_val": True, "lsp_dir": str(data / "lsp_dataset"), "up_dir": str(data / "upi-s1h")}
    coco = data / "coco_subset" / "person_keypoints.json"
    if coco.is_file():
        content = large_people(json.loads(coco.read_text()))
        for name, chosen in ((COCO, content), (COCO_FIFTH, set_aside(content))):
            # Files are found below the folder of the annotation alone.
            large = records / name / coco.name
            shutil.copytree(coco.parent / "images", large.parent / "images", dirs_exist_ok=True)
            files.write_text(large, json.dumps(chosen))
            wanted[name] = {"own": str(large), "own_name": name}
    clips = data / "mocap" / "cmu_bvh"
    synthetic = {"synthetic_val": 300, "seed": 77, "synthetic_truncated": 0.15}
    wanted[SYNTHETIC] = synthetic | ({"synthetic_postures": str(clips)} if clips.is_dir() else {})
    for name, values in wanted.items():
        if not (records / f"{name}.manifest.json").exists():
            create_datasets.create(*create_datasets.settings(data_dir=str(records), **values), progress=False)
    mocap = data / "mocap" / "neutrMosh"
    if mocap.is_dir() and not list(records.glob("mocap_neutrMosh/*")):
        settings = create_datasets.settings(data_dir=str(records), mocap=True, mocap_dir=str(mocap))
        create_datasets.create(*settings, progress=False)
    return list(wanted)


def large_people(content: dict) -> dict:
    """Returns COCO's content with nobody whose box is smaller than `SMALLEST`, or who has no joints."""
    kept = [
        entry
        for entry in content["annotations"]
        if max(entry["bbox"][2:]) >= SMALLEST and entry.get("num_keypoints") and not entry.get("iscrowd")
    ]
    return content | {"annotations": kept}


def set_aside(content: dict) -> dict:
    """Returns COCO's content with the fifth of the pictures that no training has seen."""
    images = [image for image in content["images"] if image["id"] % 5 == 4]
    kept = {image["id"] for image in images}
    return content | {
        "images": images,
        "annotations": [entry for entry in content["annotations"] if entry["image_id"] in kept],
    }


def judged(
    preset: str,
    name: str,
    records: pathlib.Path,
    metrics: Sequence[str],
    *,
    refine: int = 0,
    max_batches: int | None = None,
):
    """Returns the values of metrics by name, and seconds per person of the whole evaluation."""
    from hpe.evaluation.feasibility import compare_with
    from hpe.evaluation.judging import judge
    from hpe.inference.predictor import Predictor
    from hpe.runs import load

    print(f"{preset}: {name}, {refine} steps of fitting", file=sys.stderr, flush=True)
    loaded = load(preset)
    system = loaded.system
    source = pipeline.open(
        system.input_key,
        str(records),
        (name,),
        pipeline.CONFIGS[system.input_key](**vars(loaded.settings.input)),
        needs=Needs(fields=("image", "joints2d"), skeleton2d=system.skeleton),
    )
    comparison = compare_with(str(records), MOCAP, required=False)
    predictor = Predictor(system, refine=refine)
    evaluation = judge(
        predictor,
        source,
        metrics=metrics,
        batch_size=16,
        feasibility=comparison,
        max_batches=max_batches,
        show_progress=False,
    )
    return evaluation.values(), _milliseconds(predictor)


class _Kept:
    """What has been judged, in a file: the whole takes an hour on a busy machine."""

    def __init__(self, path: pathlib.Path, *, resume: bool):
        self._path = path
        self._values = json.loads(path.read_text()) if resume and path.exists() else {}

    def judged(self, preset: str, name: str, records: pathlib.Path, metrics: Sequence[str], **options):
        """Returns what `judged` returns."""
        weights = hashlib.sha256(presets()[preset].path.read_bytes()).hexdigest()
        key = json.dumps([preset, weights, name, list(metrics), options])
        if key not in self._values:
            self._values[key] = judged(preset, name, records, metrics, **options)
            files.write_text(self._path, json.dumps(self._values))
        return self._values[key]


def _milliseconds(predictor, rounds: int = 10) -> float:
    """Returns what a crop of one person takes, median, in milliseconds."""
    crop = np.random.default_rng(0).integers(0, 256, (1, *predictor.system.input_shape), dtype=np.uint8)
    predictor(crop)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        predictor(crop)
        seconds.append(time.perf_counter() - start)
    return 1000 * float(np.median(seconds))


def frames_per_second(preset: str, *, count: int = 120) -> float:
    """Returns how many frames of one person a model follows in a second: detector, crops, bodies, smoothing."""
    import cv2

    import hpe
    from hpe.body.data import load_body_model
    from hpe.synthetic.people import SyntheticConfig, generate

    person = generate(3, SyntheticConfig(image_size=480, seed=77), load_body_model())
    still = cv2.cvtColor(
        cv2.imdecode(np.frombuffer(person.image, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB
    )
    still = cv2.copyMakeBorder(still, 0, 0, 80, 80, cv2.BORDER_REPLICATE)
    steps = np.round(20 * np.sin(np.arange(count) / 10)).astype(int)
    frames = [np.roll(still, step, axis=1) for step in steps]
    model = hpe.load(preset)
    warm = 10
    start = 0.0
    for number, people in enumerate(model.track(iter(frames))):
        if number == warm:
            start = time.perf_counter()
        if not people:
            raise RuntimeError("nobody was followed")
    return (count - 1 - warm) / (time.perf_counter() - start)


def lines(config: PresetsConfig) -> Iterator[str]:
    """Yields the Markdown of the tables."""
    data = pathlib.Path(config.data or os.environ.get("HPE_DATA") or "../shared/data")
    records = pathlib.Path(config.work_dir) / "data"
    records.mkdir(parents=True, exist_ok=True)
    there = write_records(data, records)
    kept = _Kept(records.parent / "values.json", resume=config.resume)
    values: dict[tuple[str, str], dict[str, float]] = {}
    fitted: dict[tuple[str, int], tuple[dict[str, float], float]] = {}
    limit = config.max_batches
    few = min(limit or _FITTED_BATCHES, _FITTED_BATCHES)
    for preset in config.only:
        for name in there:
            wanted = [metric for _, place, metric, *_ in ROWS if place == name]
            values[preset, name] = kept.judged(preset, name, records, wanted, max_batches=limit)[0]
            for steps in STEPS if name == LSP else ():
                fitted[preset, steps] = kept.judged(
                    preset, name, records, _FITTED, refine=steps, max_batches=few
                )
    yield "`python -m benchmarks.presets --output=docs/results.md`. " + machine_class()
    yield ""
    yield "| on | what | " + " | ".join(f"{preset} | target" for preset in config.only) + " |"
    yield "|---|---|" + "---|---|" * len(config.only)
    for title, place, metric, style, targets, sign in ROWS:
        cells = []
        for preset in config.only:
            value = values.get((preset, place), {}).get(metric)
            target = targets[PRESETS.index(preset)]
            cells += [
                _NOT_AT_HAND if value is None else format(value, style),
                target_cell(value, target, sign, style),
            ]
        yield f"| {PLACES[place]} | {title} | {' | '.join(cells)} |"
    speeds = [frames_per_second(preset) for preset in config.only]
    cells = []
    for preset, speed in zip(config.only, speeds, strict=True):
        target = 30.0 if preset == "lightning" else None
        cells += [f"{speed:.0f}", target_cell(speed, target, 1, ".0f")]
    yield f"| 640 x 480, one person | frames a second, found, followed and smoothed | {' | '.join(cells)} |"
    if not fitted:
        return
    yield ""
    yield "Fitting (`--refine=N`), the first 256 of LSP validation, to the joints that MoveNet finds:"
    yield ""
    yield (
        "| steps | "
        + " | ".join(f"{preset}: PCK@0.2 | IoU | angles outside, % | ms a person" for preset in config.only)
        + " |"
    )
    yield "|---|" + "---|---|---|---|" * len(config.only)
    for steps in STEPS:
        cells = []
        for preset in config.only:
            found, milliseconds = fitted[preset, steps]
            cells += [
                *(
                    format(found[metric], style) if metric in found else _NOT_AT_HAND
                    for metric, style in zip(_FITTED, (".3f", ".3f", ".2f"), strict=True)
                ),
                f"{milliseconds:.0f}",
            ]
        yield f"| {steps} | {' | '.join(cells)} |"


def target_cell(value: float | None, target: float | None, sign: int, style: str) -> str:
    if target is None:
        return "-"
    missed = value is not None and sign * (value - target) < 0
    return f"{'<=' if sign < 0 else '>='} {target:{style}}" + (", **missed**" if missed else "")


def main() -> None:
    """Measures, prints the table, and writes it."""
    config = program_flags.read(PresetsConfig)
    text = "\n".join(lines(config))
    print(text)
    files.write_text(pathlib.Path(config.work_dir) / "table.md", text + "\n")
    if config.output:
        path = pathlib.Path(config.output)
        page, found = re.subn(
            f"(?s){_BEGIN}.*?{_END}", lambda _: f"{_BEGIN}\n{text}\n{_END}", path.read_text()
        )
        if not found:
            raise SettingError("output", f"has no marks {_BEGIN} and {_END}.", config.output)
        files.write_text(path, page)


def define_flags() -> None:
    """Defines the flags of this program."""
    program_flags.define(PresetsConfig)


if __name__ == "__main__":
    define_flags()
    program_flags.run(main)
