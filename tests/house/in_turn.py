"""`python -m tests.house.in_turn COMMANDS`: runs commands of `hpe`, a JSON list of lists, one after the other.

TensorFlow starts once for all of them. A command that fails ends the process as it would have ended its own.
"""

import json
import sys

from absl import flags

from hpe.programs import cli
from hpe.programs.startup import quiet_tensorflow


def main(commands: list[list[str]]) -> None:
    """Runs each, and forgets its flags but for those that come with TensorFlow."""
    quiet_tensorflow()
    before = set(flags.FLAGS)
    for command in commands:
        cli.main(command)
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)
        flags.FLAGS.unparse_flags()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
