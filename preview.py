"""`python -m preview --checkpoint=RUN --input=IMAGE`: shows predictions; see `hpe.programs.preview`."""

from hpe.programs import flags, preview

if __name__ == "__main__":
    preview.define_flags()
    flags.run(preview.main)
