"""`python -m preview --checkpoint=RUN --input=IMAGE`: shows predictions; see `hpe.programs.preview`."""

if __name__ == "__main__":
    from hpe.programs.startup import quiet_tensorflow

    quiet_tensorflow()
    from hpe.programs import flags, preview

    preview.define_flags()
    flags.run(preview.main)
