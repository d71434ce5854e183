"""Tiny datasets for tests of what comes after the records: boxes for people, joints on the boxes."""

from __future__ import annotations

import cv2
import numpy as np

from hpe import skeletons
from hpe.datasets.sample import Sample
from hpe.pipeline.config import PipelineConfig
from hpe.records.mocap import write_frames
from hpe.records.writing import write_dataset
from hpe.systems.hybrid_hmr import HybridHmrConfig
from hpe.training.config import OptimizationConfig, TrainingConfig
from hpe.training.settings import RunConfig

SIZE = 200


def box_person(index: int) -> Sample:
    """A bright upright box on a dark ground, different for every index, with LSP joints and a mask."""
    rng = np.random.default_rng(index)
    center = rng.uniform(85, 115, 2)
    half = np.array([rng.uniform(20, 35), rng.uniform(65, 80)])
    low, high = (center - half).astype(int), (center + half).astype(int)
    image = rng.integers(0, 60, (SIZE, SIZE, 3), dtype=np.uint8)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    cv2.rectangle(image, low.tolist(), high.tolist(), rng.integers(120, 255, 3).tolist(), -1)
    cv2.rectangle(mask, low.tolist(), high.tolist(), 255, -1)
    # Right is on the left of the picture: the person faces the camera.
    side = np.array(
        [{"right": -1.0, "left": 1.0}.get(name.split("_")[0], 0.0) for name in skeletons.LSP14.joints]
    )
    heights = {"ankle": 0.95, "knee": 0.5, "hip": 0.05, "wrist": 0.05, "elbow": -0.25, "shoulder": -0.6}
    height = np.array([heights.get(name.split("_")[-1], -0.7) for name in skeletons.LSP14.joints])
    height[skeletons.LSP14.index("head_top")] = -0.98
    joints = center + np.stack([0.5 * side * half[0], height * half[1]], axis=-1)
    return Sample(
        name=f"person{index:03d}.jpg",
        image=cv2.imencode(".jpg", image)[1].tobytes(),
        height=SIZE,
        width=SIZE,
        skeleton=skeletons.LSP14.name,
        joints2d=joints.astype(np.float32),
        visibility=np.ones(14, np.float32),
        center=center.astype(np.float32),
        mask=cv2.imencode(".png", mask)[1].tobytes(),
    )


def write_people(directory, *, count: int = 12, name: str = "people", frames: int = 60) -> None:
    """Writes `count` box people as the dataset `name`, and random mocap frames as the set `random`."""
    skeleton = skeletons.LSP14.name
    write_dataset((box_person(i) for i in range(count)), directory, name, skeleton=skeleton, progress=False)
    rng = np.random.default_rng(0)
    poses = rng.normal(scale=0.2, size=(frames, 72)).astype(np.float32)
    shapes = rng.normal(size=(frames, 10)).astype(np.float32)
    write_frames(zip(poses, shapes, strict=True), directory, "random")


def run_config(data_dir, *, model=None, pipeline=None, optimization=None, **training) -> RunConfig:
    """Settings of a small run over the people of `write_people`: eager and compact, so that nothing compiles."""
    return RunConfig(
        "hybrid_hmr",
        HybridHmrConfig(
            **{"encoder": "small", "encoder_weights": "none", "compile_body": False, **(model or {})}
        ),
        PipelineConfig(**{"img_size": 48, "shuffle_buffer": 20, **(pipeline or {})}),
        TrainingConfig(
            **{
                "data_dir": str(data_dir),
                "datasets": ("people",),
                "val_datasets": ("people",),
                "mocap_datasets": ("random",),
                "batch_size": 4,
                "max_steps": 3,
                "use_validation": False,
                "eager": True,
                **training,
            }
        ),
        OptimizationConfig(**(optimization or {})),
    )
