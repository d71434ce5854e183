"""`python -m train --num_epochs=120`: trains a system from records; see `hpe.programs.train`."""

if __name__ == "__main__":
    # Worker processes import this file again: importing inside the guard spares them everything.
    from hpe.programs.cli import run

    run("train")
