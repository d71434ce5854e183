"""`python -m tests.training.mirrored_runs DATA OUTPUT [NAME ...]`: runs on two devices and on one, in one process.

A process of its own, because TensorFlow divides the CPU only before it computes anything. DATA holds the datasets
that RUNS name; OUTPUT/NAME/two and OUTPUT/NAME/one become the runs of the program `train`.
"""

import pathlib
import sys

from hpe.programs import train
from hpe.systems import hrnet, hybrid_hmr
from hpe.training import distribution
from hpe.training.config import Strategy
from tests.networks.strided_backbone import strided_backbone, strided_encoder
from tests.programs.running import run
from tests.training.spoiled_train import spoil_a_step

STEPS = 4
RATE = 1e-6
# Rates are low because the first steps of Adam make whole steps of rounding errors, from which trajectories part.
_ALL = (
    *(f"--generator_lr={RATE}", f"--max_steps={STEPS}", "--num_epochs=100"),
    *("--validation_epochs=100", "--checkpoint_steps=1", "--keep_checkpoints=9", "--log_every=1", "--seed=4"),
)
_HRNET = (
    *("--system=hrnet", "--hrnet_width=8", "--datasets=people", "--nouse_validation", "--img_size=32"),
    # An epoch has three steps: the backbone is frozen in the first alone.
    *("--batch_size=4", "--freeze_epochs=0.3", "--freeze_networks=backbone", "--clip_norm=1"),
)
RUNS = {
    # All that has randomness, state or a sum over the batch is on.
    "hybrid": (
        *("--datasets=people", "--val_datasets=people", "--mocap_datasets=random", "--encoder=small"),
        *(
            "--encoder_weights=none",
            "--img_size=48",
            "--batch_size=4",
            "--use_mesh_repro_loss",
            "--dropout=0.1",
        ),
        *(
            "--num_stage=1",
            "--critic_steps=2",
            "--ema_decay=0.9",
            "--clip_norm=10",
            "--log_img_step=3",
            f"--critic_lr={RATE}",
        ),
    ),
    "frozen": _HRNET,
    "mixed": (*_HRNET, "--mixed_precision"),
    "lifter": (
        *("--system=lifter", "--linear_size=16", "--num_blocks=1", "--dropout=0.2", "--max_norm"),
        *("--datasets=walks", "--val_datasets=walks", "--batch_size=8", "--ema_decay=0.9", "--clip_norm=1"),
    ),
}


def flags_of(name: str, data, run) -> tuple[str, ...]:
    """Returns the flags of a run."""
    return (*_ALL, *RUNS[name], f"--data_dir={data}", f"--model_dir={run}")


def share_the_devices() -> None:
    """Makes all runs on two devices use one strategy: a second would number its operations as the first did."""
    kind, made = distribution.Distribution, []

    def shared(training):
        if training.strategy is not Strategy.MIRRORED:
            return kind(training)
        if not made:
            made.append(kind(training))
        return made[0]

    distribution.Distribution = shared


def main(data: str, output: str, *names: str) -> None:
    """Trains every run twice."""
    # Their many layers would be traced for minutes; one convolution and its batch normalisation do here.
    hrnet.build_hrnet = strided_backbone
    hybrid_hmr.build_encoder = strided_encoder
    spoil_a_step()
    share_the_devices()
    for name in names or RUNS:
        folder = pathlib.Path(output) / name
        run(train, *flags_of(name, data, folder / "two"), "--strategy=mirrored", "--num_devices=2")
        # With XLA's body on one side alone: its sums differ by rounding, like those of the devices.
        body = ("--nocompile_body",) if name == "hybrid" else ()
        run(train, *flags_of(name, data, folder / "one"), *body)


if __name__ == "__main__":
    main(*sys.argv[1:])
