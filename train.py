"""`python -m train --num_epochs=120`: trains a system from records; see `hpe.programs.train`."""

if __name__ == "__main__":
    from hpe.programs.startup import quiet_tensorflow

    quiet_tensorflow()
    from hpe.programs import flags, train

    flags.run(train.main, train.define_flags)
