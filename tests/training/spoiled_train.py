"""`python -m tests.training.spoiled_train`: the training program, but the last image of one step is no number."""

from hpe.programs.startup import quiet_tensorflow

SPOILED_STEP = 2  # counted from 0


def main():
    quiet_tensorflow()
    import numpy as np

    from hpe.programs import flags, train
    from hpe.training import loop

    read = loop.training_batches

    def spoiled(config, source, needs, distribution, *, start_step):
        batches = read(config, source, needs, distribution, start_step=start_step)
        for step, batch in enumerate(batches, start_step):
            # Only one of the devices sees it.
            if step == SPOILED_STEP and distribution.worker == distribution.num_workers - 1:
                joints = batch["joints2d"].numpy()
                joints[-1, :, 0] = np.nan
                batch = {**batch, "joints2d": joints}
            yield batch

    loop.training_batches = spoiled
    train.define_flags()
    flags.run(train.main)


if __name__ == "__main__":
    main()
