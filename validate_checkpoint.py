"""`python -m validate_checkpoint --checkpoint=RUN`: measures a checkpoint, see `hpe.programs`."""

if __name__ == "__main__":
    # Worker processes import this file again: importing inside the guard spares them everything.
    from hpe.programs.cli import run

    run("validate")
