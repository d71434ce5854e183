"""Writes the released weights of the presets `lightning` and `thunder`, one file for both.

    python tools/release_movenet.py --weights=lifter.npz --steps=6500

They are what tools/train_body_lifter.py wrote, with the settings of `lightning`; see `hpe.runs.presets`.
"""

from __future__ import annotations

import argparse
import os
import sys

import numpy as np

from hpe.errors import UserError
from hpe.networks.movenet import SIZES
from hpe.runs import released
from hpe.runs.presets import ASSETS
from hpe.runs.settings import Settings
from hpe.systems.inputs import ImageInput
from hpe.systems.movenet import MoveNetBodyConfig

_ABOUT = (
    "From MoveNet's joints to a body, without SMPL, MoSh, AMASS or Human3.6M; see docs/models/lightning.md."
)
_LICENCE = "MIT; MoveNet, which it needs, is Apache-2.0"


def main() -> int:
    """Writes one file; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", required=True, help="what train_body_lifter.py wrote, .npz")
    parser.add_argument("--output", default=str(ASSETS / "movenet_body.safetensors"))
    parser.add_argument("--steps", type=int, default=0, help="of the training, to be told")
    arguments = parser.parse_args()
    try:
        with np.load(arguments.weights) as stored:
            arrays = [stored[name] for name in sorted(stored.files)]
        config = MoveNetBodyConfig(lifter_size=arrays[1].shape[1])
        input = ImageInput(img_size=SIZES["lightning"].picture)
        settings = Settings("movenet", config, input)
        system = settings.build()
        system.lifter.set_weights(arrays)
        released.save(
            arguments.output, system, settings, licence=_LICENCE, about=_ABOUT, step=arguments.steps
        )
    except (OSError, UserError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"wrote {arguments.output}: {os.path.getsize(arguments.output) / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
