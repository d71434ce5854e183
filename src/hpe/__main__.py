"""`python -m hpe`: the same as the command `hpe`."""

from hpe.programs.cli import main

if __name__ == "__main__":
    main()
