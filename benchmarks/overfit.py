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

import tensorflow as tf
from absl import app, flags

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
flags.DEFINE_integer("steps", 1500, "Steps of every setting.")
flags.DEFINE_list("only", None, "Run these settings alone.")

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

    rows = []
    for name, switches in SETTINGS.items():
        if FLAGS.only and name not in FLAGS.only:
            continue
        run = output / name.replace(" + ", "-")
        shutil.rmtree(run, ignore_errors=True)
        started = time.monotonic()
        command(
            *("-m", "train", f"--data_dir={data}", "--datasets=lsp8", f"--model_dir={run}"),
            *(f"--encoder={FLAGS.encoder}", f"--img_size={FLAGS.img_size}", f"--max_steps={FLAGS.steps}"),
            *COMMON,
            *switches,
        )
        seconds = time.monotonic() - started
        command(
            *("-m", "validate_checkpoint", f"--checkpoint={run}", f"--data_dir={data}"),
            *("--val_datasets=lsp8", f"--num_panels={IMAGES}", "--batch_size=8"),
        )
        metrics = json.loads((run / "validation" / "metrics.json").read_text())["metrics"]
        rows.append(
            f"| {name} | {metrics['keypoint_loss']['value']:.2f} | {metrics['mesh_loss']['value']:.2f} "
            f"| {metrics['silhouette_iou']['value']:.3f} | {metrics['pck_0.2_torso']['value']:.3f} | {seconds / 60:.1f} |"
        )
    columns = ("evidence", "keypoint loss", "mesh loss, px", "silhouette IoU", "PCK@0.2", "minutes")
    header = f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"
    table = "\n".join([header, *rows]) + "\n"
    (output / "table.md").write_text(table)
    print(table)


if __name__ == "__main__":
    app.run(main)
