"""`python -m preview --checkpoint=RUN --input=IMAGE`: shows predictions; see `hpe.programs.preview`."""

if __name__ == "__main__":
    # Worker processes import this file again: importing inside the guard spares them everything.
    from hpe.programs.cli import run

    run("preview")
