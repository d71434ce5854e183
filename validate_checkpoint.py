"""`python -m validate_checkpoint --checkpoint=RUN`: measures a checkpoint; see `hpe.programs`."""

from hpe.programs import flags, validate_checkpoint

if __name__ == "__main__":
    validate_checkpoint.define_flags()
    flags.run(validate_checkpoint.main)
