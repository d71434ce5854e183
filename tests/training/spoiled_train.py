"""`python -m tests.training.spoiled_train FLAGS`: the training program, but the last row of one step is no number.

With DIES=RANK:STEP in its environment the worker of that rank dies in that step as by `kill -9`.
"""

import os
import signal

from hpe.programs.startup import quiet_tensorflow

SPOILED_STEP = 2  # counted from 0


def spoil_a_step() -> None:
    """Makes trainings of this process read no numbers in the last row of SPOILED_STEP; heat maps know no such."""
    import numpy as np

    from hpe.training import loop

    read = loop.training_batches
    dying, _, dies_in = os.environ.get("DIES", "").partition(":")

    def spoiled(config, source, needs, distribution, *, start_step):
        batches = read(config, source, needs, distribution, start_step=start_step)
        for step, batch in enumerate(batches, start_step):
            if (dying, dies_in) == (str(distribution.worker), str(step)):
                os.kill(os.getpid(), signal.SIGKILL)
            # Only one of the devices sees it.
            last = distribution.worker == distribution.num_workers - 1
            if step == SPOILED_STEP and last and config.system != "hrnet":
                key = "joints2d" if "image" in batch else "joints3d"
                joints = batch[key].numpy()
                joints[-1, :, 0] = np.nan
                batch = {**batch, key: joints}
            yield batch

    loop.training_batches = spoiled


def main() -> None:
    quiet_tensorflow()
    from hpe.programs import flags, train

    spoil_a_step()
    train.define_flags()
    flags.run(train.main)


if __name__ == "__main__":
    main()
