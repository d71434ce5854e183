"""Over-fits eight LSP images: can the system, with each kind of evidence, fit real people at all?

`python -m benchmarks.overfit` writes `runs/overfit/table.md` and, per setting, panels of all eight predictions
(pictures over dataset photographs: keep them out of version control).
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from hpe.pipeline.images import evaluation_batches
from hpe.records.reading import find_shards
from hpe.training.restoring import load_predictor

IMAGES = 8
FLAGS = flags.FLAGS
flags.DEFINE_string(
    "datasets_dir",
    os.environ.get("HPE_DATA", "../shared/data"),
    "Folder with lsp_dataset, upi-s1h and mocap.",
)
flags.DEFINE_string("output", "runs/overfit", "Where records, runs and the table go.")
flags.DEFINE_string("encoder", "small", "Encoder of all settings.")
flags.DEFINE_integer("img_size", 128, "Crop size of all settings.")
flags.DEFINE_integer("steps", 2000, "Steps of every setting.")
flags.DEFINE_list("only", None, "Run these settings alone; `none` prints the table of earlier runs.")

# No augmentation and no dropout: the question is whether the evidence can be fitted.
COMMON = [
    *(
        "--encoder_weights=none",
        "--trans_max=0",
        "--scale_min=1",
        "--scale_max=1",
        "--flip=False",
        "--dropout=0",
    ),
    *("--batch_size=8", "--generator_lr=3e-4", "--use_validation=False", "--log_img_step=100000"),
    *("--checkpoint_steps=100000", "--num_epochs=100000"),
]
SETTINGS = {
    "keypoints": ["--encoder_only=True"],
    "keypoints + silhouette": ["--encoder_only=True", "--use_mesh_repro_loss=True"],
    "keypoints + silhouette + critic": ["--use_mesh_repro_loss=True"],
}


def command(*arguments: str) -> None:
    print("$ python " + " ".join(arguments), flush=True)
    subprocess.run([sys.executable, *arguments], check=True)


def take_records(source: pathlib.Path, target: pathlib.Path, count: int) -> None:
    """Copies the first records of a dataset's first shard into one file, as they are."""
    shard = str(sorted(source.parent.glob(f"{source.name}-*.tfrecords"))[0])
    with tf.io.TFRecordWriter(str(target)) as writer:
        for record in tf.data.TFRecordDataset(shard).take(count).as_numpy_iterator():
            writer.write(record)


def main(_) -> None:
    output = pathlib.Path(FLAGS.output)
    data = output / "data"
    datasets = pathlib.Path(FLAGS.datasets_dir)
    if not (data / "lsp8.tfrecords").exists():
        command(
            *("-m", "create_datasets", "--lsp=True", "--only_segmented=True", "--mocap=True"),
            *(f"--lsp_dir={datasets / 'lsp_dataset'}", f"--up_dir={datasets / 'upi-s1h'}"),
            *(f"--mocap_dir={datasets / 'mocap'}", f"--data_dir={data}"),
        )
        take_records(data / "lsp_train", data / "lsp8.tfrecords", IMAGES)

    for name, switches in SETTINGS.items():
        if not FLAGS.only or name in FLAGS.only:
            measure(output, data, name, switches)
    table = make_table(output, data)
    (output / "table.md").write_text(table)
    print(table)


def run_directory(output: pathlib.Path, name: str) -> pathlib.Path:
    return output / name.replace(" + ", "-")


def measure(output: pathlib.Path, data: pathlib.Path, name: str, switches: list[str]) -> None:
    """Trains one setting from scratch and validates it on the same images."""
    run = run_directory(output, name)
    shutil.rmtree(run, ignore_errors=True)
    started = time.monotonic()
    command(
        *("-m", "train", f"--data_dir={data}", "--datasets=lsp8", f"--model_dir={run}"),
        *(f"--encoder={FLAGS.encoder}", f"--img_size={FLAGS.img_size}", f"--max_steps={FLAGS.steps}"),
        *COMMON,
        *switches,
    )
    (run / "minutes.txt").write_text(f"{(time.monotonic() - started) / 60:.1f}\n")
    command(
        *("-m", "validate_checkpoint", f"--checkpoint={run}", f"--data_dir={data}"),
        *("--val_datasets=lsp8", f"--num_panels={IMAGES}", "--batch_size=8"),
    )


def feasibility(run: pathlib.Path, data: pathlib.Path) -> tuple[float, float]:
    """Returns the mean absolute shape coefficient, and the mean over people of the largest joint angle in degrees.

    Shape coefficients are unit-normal by construction, so that 0.8 is usual; no joint turns by 180 degrees.
    """
    predictor, config, _ = load_predictor(run)
    batch = next(iter(evaluation_batches(find_shards(data, ["lsp8"]), config.pipeline, batch_size=IMAGES)))
    prediction = predictor(batch["image"])
    traces = np.trace(prediction.pose[:, 1:], axis1=2, axis2=3)
    angles = np.degrees(np.arccos(np.clip((traces - 1) / 2, -1, 1)))
    return float(np.abs(prediction.shape).mean()), float(angles.max(axis=1).mean())


def make_table(output: pathlib.Path, data: pathlib.Path) -> str:
    """Returns a Markdown table of all settings that were measured, in this call or an earlier one."""
    columns = {
        "keypoint_loss": ("keypoint loss", ".2f"),
        "mesh_loss": ("mesh loss, px", ".2f"),
        "silhouette_iou": ("silhouette IoU", ".3f"),
        "pck_0.2_torso": ("PCK@0.2", ".3f"),
    }
    titles = [
        "evidence",
        *(title for title, _ in columns.values()),
        "mean abs. shape",
        "largest angle",
        "minutes",
    ]
    lines = [titles, ["---"] * len(titles)]
    for name in SETTINGS:
        run = run_directory(output, name)
        report = run / "validation" / "metrics.json"
        if report.exists():
            metrics = json.loads(report.read_text())["metrics"]
            values = [format(metrics[key]["value"], style) for key, (_, style) in columns.items()]
            shape, angle = feasibility(run, data)
            values += [f"{shape:.2f}", f"{angle:.0f}"]
            minutes = run / "minutes.txt"
            lines.append([name, *values, minutes.read_text().strip() if minutes.exists() else ""])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    app.run(main)
