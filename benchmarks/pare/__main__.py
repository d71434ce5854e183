"""Runs the benchmark from the command line."""

from benchmarks.pare.program import define_flags, main
from hpe.programs import flags

if __name__ == "__main__":
    define_flags()
    flags.run(main)
