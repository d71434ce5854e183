"""Writes the encoder of a run as the weights that come with the package: `--encoder_weights=synthetic`.

docs/results.md has the commands that made the weights in the package, and how good they are.
"""

from __future__ import annotations

import numpy as np
from absl import flags

from hpe.networks.backbones import SYNTHETIC_WEIGHTS
from hpe.programs import flags as program_flags
from hpe.runs import load

flags.DEFINE_string("checkpoint", None, "Run directory, or one checkpoint in it.", required=True)
flags.DEFINE_string("output", str(SYNTHETIC_WEIGHTS), "File to write (.npz).")


def main() -> None:
    """Writes the weights in half precision: they are where a training starts, not a result."""
    loaded = load(flags.FLAGS.checkpoint)
    weights = loaded.system.encoder.get_weights()
    arrays = {f"{index:03d}": array.astype(np.float16) for index, array in enumerate(weights)}
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("a weight does not fit into half precision")
    with open(flags.FLAGS.output, "wb") as file:
        np.savez_compressed(file, **arrays)
    print(
        f"{loaded.settings.model.encoder} of step {loaded.step}: {len(arrays)} arrays to {flags.FLAGS.output}"
    )


if __name__ == "__main__":
    program_flags.run(main)
