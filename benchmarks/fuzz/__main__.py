"""`python -m benchmarks.fuzz --mutations=5000`: mutates files of every reader and tells the bad ends.

Bad are an end by a signal, a traceback, a message of several lines, more than LIMIT of memory, more than SECONDS of
processor time. The number of a mutation says which it is: `--reader=JPEG --first=123 --mutations=1` makes it again.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import random
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import TextIO

from benchmarks.fuzz.mutations import mutated
from benchmarks.fuzz.samples import PEERS, READERS

LIMIT = 1 << 30
SECONDS = 20
# Whoever waits for something else than the processor is told by this.
_SILENT_SECONDS = 900
_ADDRESS_SPACE = 1 << 33


def run(readers: list[str], *, first: int, mutations: int, seed: int) -> Iterator[tuple[str, int, str]]:
    """Yields the bad ends: reader, number of the mutation, and what happened."""
    jobs = [(reader, number) for reader in readers for number in range(first, first + mutations)]
    done = 0
    while done < len(jobs):
        done, bad = _run_worker(jobs, done, seed)
        yield from bad


def _run_worker(jobs: list[tuple[str, int]], done: int, seed: int) -> tuple[int, list[tuple[str, int, str]]]:
    """Runs a process over the jobs from one on, until it ends; returns the next job, and the bad ends."""
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        return _watch_worker(jobs, done, seed, said)


def _watch_worker(jobs, done: int, seed: int, said: TextIO) -> tuple[int, list[tuple[str, int, str]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.fuzz", "--worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        text=True,
    )
    bad = []
    try:
        process.stdin.write(json.dumps([jobs[done:], seed]))
        process.stdin.close()
        begun, heard = done, time.monotonic()
        buffer = ""
        while True:
            ready, _, _ = select.select([process.stdout], [], [], 1.0)
            text = os.read(process.stdout.fileno(), 1 << 16).decode() if ready else ""
            if ready and not text:
                break
            heard = time.monotonic() if text else heard
            *lines, buffer = (buffer + text).split("\n")
            for line in lines:
                begun, end = json.loads(line)
                begun += done
                if end:
                    bad.append((*jobs[begun], end))
            if time.monotonic() - heard > _SILENT_SECONDS:
                process.kill()
                bad.append((*jobs[begun], f"silent for {_SILENT_SECONDS} s"))
                return begun + 1, bad
        code = process.wait()
        if code == 0:
            return len(jobs), bad
        said.seek(0)
        name = signal.Signals(-code).name if code < 0 else f"status {code}: {said.read().strip()[-200:]}"
        # The worker ends itself where it needs too much memory, and has said so.
        if not bad or bad[-1][:2] != jobs[begun]:
            bad.append((*jobs[begun], f"more than {SECONDS} s" if name == "SIGPROF" else name))
        return begun + 1, bad
    finally:
        process.kill()
        process.wait()


def work() -> None:
    """Reads jobs from standard input and says before each which it is, and after each if it was bad."""
    jobs, seed = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    sound: dict[str, tuple[pathlib.Path, bytes]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for place, (name, number) in enumerate(jobs):
            print(json.dumps([place, ""]), flush=True)
            reader = PEERS[name] if name in PEERS else READERS[name]
            if name not in sound:
                path = reader.make(pathlib.Path(folder) / str(len(sound)))
                sound[name] = path, path.read_bytes()
                reader.read(path)  # a sound file is read, or the sample is wrong
            path, content = sound[name]
            path.write_bytes(mutated(content, path.name, random.Random(f"{seed} {name} {number}")))
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            end = _end(reader, path)
            signal.setitimer(signal.ITIMER_PROF, 0)
            memory = _peak_memory()
            if memory > LIMIT:
                print(json.dumps([place, f"{memory >> 20} MiB of memory"]), flush=True)
                os._exit(3)
            if end:
                print(json.dumps([place, end]), flush=True)
            path.write_bytes(content)


def _peak_memory() -> int:
    """Returns the most bytes that this process has held, without what its parent held when it began."""
    status = pathlib.Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _end(reader, path: pathlib.Path) -> str:
    """Reads a file; returns how it ended badly, or nothing."""
    from hpe.errors import UserError
    from hpe.formats.images import BadImage

    try:
        reader.read(path)
    except (UserError, BadImage) as error:
        message = str(error)
        if "\n" in message or len(message) > 3000:
            return f"a message of several lines or {len(message)} letters"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return ""


def main() -> None:
    """Runs the fuzzer and ends with status 1 if there was a bad end."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz")
    parser.add_argument("--mutations", type=int, default=200, help="of every reader")
    parser.add_argument("--first", type=int, default=0, help="number of the first mutation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--reader",
        action="append",
        choices=[*READERS, *PEERS],
        metavar="NAME",
        help=f"these alone; may be repeated: {', '.join(READERS)}; of other libraries: {', '.join(PEERS)}",
    )
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work()
        return
    readers = arguments.reader or list(READERS)
    total = 0
    for reader in readers:
        bad, begun = 0, _used()
        for _, number, end in run(
            [reader], first=arguments.first, mutations=arguments.mutations, seed=arguments.seed
        ):
            bad += 1
            print(f"{reader}: mutation {number}: {end}", flush=True)
        milliseconds = 1000 * (_used() - begun) / arguments.mutations
        print(
            f"{reader}: {arguments.mutations} mutations, {bad} bad ends, {milliseconds:.1f} ms of a processor each",
            flush=True,
        )
        total += bad
    print(f"{len(readers)} readers, {arguments.mutations} mutations each, {total} bad ends")
    sys.exit(total > 0)


def _used() -> float:
    """Returns the seconds of processor time of all workers that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
