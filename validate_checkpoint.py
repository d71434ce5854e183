"""`python -m validate_checkpoint --checkpoint=RUN`: measures a checkpoint, see `hpe.programs`."""

if __name__ == "__main__":
    from hpe.programs.startup import quiet_tensorflow

    quiet_tensorflow()
    from hpe.programs import flags, validate_checkpoint

    validate_checkpoint.define_flags()
    flags.run(validate_checkpoint.main)
