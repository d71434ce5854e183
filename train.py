"""`python -m train --num_epochs=120`: trains a system from records; see `hpe.programs.train`."""

from hpe.programs import flags, train

if __name__ == "__main__":
    train.define_flags()
    flags.run(train.main)
