"""`python -m tests.training.mirrored_runs DATA OUTPUT`: runs on one device and on two, all of them in one process.

A process of its own, because TensorFlow divides the CPU only before it computes anything. DATA holds the dataset
`people` and the poses `walks`; OUTPUT/NAME/one and OUTPUT/NAME/two become the runs.
"""

import dataclasses
import pathlib
import sys

import tensorflow as tf

from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.pose_config import PosePipelineConfig
from hpe.runs import RunDirectory
from hpe.systems import hrnet
from hpe.systems.hrnet import HrnetConfig
from hpe.systems.lifter import LifterConfig
from hpe.training.config import OptimizationConfig, Strategy, TrainingConfig
from hpe.training.distribution import Distribution
from hpe.training.loop import train
from hpe.training.settings import RunConfig
from tests.networks.strided_backbone import strided_backbone

STEPS = 2


def runs(data) -> dict[str, RunConfig]:
    """Returns the settings of the runs by name.

    Rates are low, as in test_distribution: the first steps of Adam make whole steps of rounding errors.
    """
    length = {"max_steps": STEPS, "checkpoint_steps": STEPS, "log_every": 1, "seed": 3}
    people = TrainingConfig(
        data_dir=str(data), datasets=("people",), use_validation=False, batch_size=4, **length
    )
    # An epoch has three steps: the backbone is frozen in the first alone.
    updates = OptimizationConfig(
        generator_lr=1e-6, clip_norm=1.0, freeze_epochs=1 / 3, freeze_networks=("backbone",)
    )
    exact = RunConfig("hrnet", HrnetConfig(hrnet_width=8), PipelineConfig(img_size=32), people, updates)
    return {
        "frozen": exact,
        "mixed": dataclasses.replace(exact, model=dataclasses.replace(exact.model, mixed_precision=True)),
        "lifter": RunConfig(
            "lifter",
            LifterConfig(linear_size=16, num_blocks=1, dropout=0.2, max_norm=True),
            PosePipelineConfig(),
            dataclasses.replace(people, datasets=("walks",), batch_size=8),
            OptimizationConfig(generator_lr=1e-6, ema_decay=0.9, clip_norm=1.0),
        ),
    }


def main(data: str, output: str) -> None:
    """Trains every run twice."""
    # Its many layers would be traced for minutes; one convolution and its batch normalisation do here.
    hrnet.build_hrnet = strided_backbone
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    # One for all: a second one would number its collective operations as the first did.
    two = Distribution(TrainingConfig(strategy=Strategy.MIRRORED, num_devices=2))
    for name, config in runs(data).items():
        for label, distribution in (("one", None), ("two", two)):
            run = RunDirectory(pathlib.Path(output) / name / label)
            train(config, run, distribution=distribution, show_progress=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
