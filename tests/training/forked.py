"""Programs in processes of their own that are forked off one which has imported TensorFlow for all of them.

`python -m tests.training.forked` reads commands, each a JSON list in a line: ["start", module, arguments,
environment, output] runs a module as `python -m` would and answers with its process id; ["ended", id] answers
whether it has ended; ["wait", id] waits for that and answers with its exit code.
"""

from __future__ import annotations

import json
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import traceback

from tests.conftest import PATIENCE, PROJECT_ROOT
from tests.xla import COMPILE_QUICKLY


class Server:
    """Starts programs; a context manager."""

    def __enter__(self) -> Server:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.training.forked"],
            cwd=PROJECT_ROOT,
            env={**os.environ, "XLA_FLAGS": COMPILE_QUICKLY},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_) -> None:
        self._process.communicate()

    def start(self, module: str, *arguments, output: pathlib.Path, **environment) -> Program:
        """Starts the module `module`, which writes to a file."""
        pid = self.ask("start", module, [str(one) for one in arguments], environment, str(output))
        return Program(self, pid, output)

    def ask(self, *command) -> int:
        """Returns the answer to a command."""
        print(json.dumps(command), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


class Program:
    """A program that was started."""

    def __init__(self, server: Server, pid: int, output: pathlib.Path):
        self.pid, self._server, self._output = pid, server, output

    def has_ended(self) -> bool:
        """Whether it has ended, in whatever way."""
        return bool(self._server.ask("ended", self.pid))

    def finish(self, code: int = 0) -> str:
        """Waits for its end, which has to have an exit code, and returns what it wrote."""
        found = self._server.ask("wait", self.pid)
        text = self._output.read_text()
        assert found == code, text
        return text


def _become(module: str, arguments: list[str], environment: dict[str, str], output: str) -> None:
    """Makes this process the program, up to its end."""
    code = 1
    signal.alarm(PATIENCE)
    try:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor in (1, 2):
            os.dup2(file, descriptor)
        os.environ.update(environment)
        sys.argv[:] = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Serves until there are no more commands."""
    # No thread is started by importing, so that there is none to be lost in a fork.
    import hpe.programs.train
    import hpe.systems.hybrid_hmr
    import hpe.systems.lifter
    import hpe.training.loop  # noqa: F401

    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        command, *values = json.loads(line)
        if command == "start":
            pid = os.fork()
            if not pid:
                _become(*values)
            answer = pid
        elif command == "ended":
            ended = os.waitid(os.P_PID, *values, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            answer = int(ended is not None)
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(*values, 0)[1])
        print(answer, file=answers, flush=True)


if __name__ == "__main__":
    main()
