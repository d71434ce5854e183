"""How much memory something takes at most: measured in a process of its own, which keeps what was once taken."""

from __future__ import annotations

import os
import pathlib
import resource
import subprocess
import sys
from collections.abc import Callable

from hpe.errors import UserError


def peak_in_new_process(module: str, name: str) -> int:
    """Returns the number that `python -m MODULE NAME` prints last.

    Raises:
        UserError: it failed.
    """
    command = [sys.executable, "-m", module, name]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    if result.returncode:
        raise UserError(f"measuring the memory of {name} failed: {result.stderr.strip()[-300:]}")
    return int(result.stdout.split()[-1])


def raised_by(function: Callable[[], object]) -> int:
    """Returns by how many bytes calling a function twice raises the peak of this process."""
    mark = pathlib.Path("/proc/self/clear_refs")
    if os.access(mark, os.W_OK):
        mark.write_text("5")  # Forgets the peak of the start.
    before = _peak()
    for _ in range(2):
        function()
    return _peak() - before


def _peak() -> int:
    """Returns the most bytes that this process has held."""
    status = pathlib.Path("/proc/self/status")
    if status.is_file():
        # Unlike getrusage's, Linux' own mark does not begin with what the parent process held.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
