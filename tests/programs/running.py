"""Programs run in this process: flags are parsed as on the command line, TensorFlow starts once."""

from __future__ import annotations

import inspect

from absl import flags

from hpe.programs import flags as program_flags


def run(program, *arguments: str) -> None:
    """Runs the `main` of a program module with flags such as `--batch_size=4`, and forgets the flags.

    Errors for the user come as UserError; tests/programs/test_flags.py shows that they end as one line.
    """
    before = set(flags.FLAGS)
    try:
        # The program of training has flags that depend on the system, which is one of its flags.
        given = (arguments,) if inspect.signature(program.define_flags).parameters else ()
        program.define_flags(*given)
        program_flags.parse(arguments, takes_arguments=getattr(program, "TAKES_ARGUMENTS", False))
        program.main()
    finally:
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)
        flags.FLAGS.unparse_flags()
