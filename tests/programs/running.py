"""Programs run in this process: flags are parsed as on the command line, TensorFlow starts once."""

from __future__ import annotations

from absl import flags


def run(program, *arguments: str) -> None:
    """Runs the `main` of a program module with flags such as `--batch_size=4`, and forgets the flags.

    Errors for the user come as UserError; tests/programs/test_flags.py shows that they end as one line.
    """
    before = set(flags.FLAGS)
    try:
        program.define_flags()
        flags.FLAGS(["program", *arguments])
        program.main()
    finally:
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)
        flags.FLAGS.unparse_flags()
