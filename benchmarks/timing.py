"""Timing things side by side: they take turns, so that whatever else the machine does hits all of them."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
import platform
import statistics
import time
from collections.abc import Callable, Mapping

# Instruction sets that matrix products and image codecs gain from, as Linux (x86, then ARM) calls them.
_FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "asimd", "sve")
_MOST_CALLS = 10_000


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What one variant took, turn by turn.

    Attributes:
        seconds: wall time per call in every round.
        processor: processor time per call in every round, summed over all threads of this process.
    """

    seconds: tuple[float, ...]
    processor: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median wall time per call in seconds."""
        return statistics.median(self.seconds)

    def speed_against(self, other: Measurement) -> tuple[float, float, float]:
        """Returns how many times as fast this is as `other`: median and quartiles of the ratios of the rounds.

        Turns of one round are neighbours in time, so that their ratio suffers least from a load that changes.
        """
        ratios = [theirs / ours for ours, theirs in zip(self.seconds, other.seconds, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return middle, low, high

    def economy_against(self, other: Measurement) -> float:
        """Returns how many times the processor time of this `other` takes (median of the rounds)."""
        pairs = zip(self.processor, other.processor, strict=True)
        return statistics.median(theirs / max(ours, 1e-9) for ours, theirs in pairs)


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: this project's figure, another's, and how many times as good this one is."""

    title: str
    ours: str
    compared_with: str
    theirs: str
    ratio: str
    processor_ratio: str = ""


@dataclasses.dataclass(frozen=True)
class Turns:
    """A variant that times itself, since it runs elsewhere.

    Attributes:
        run: makes so many calls and returns the wall and the processor seconds that they took together.
    """

    run: Callable[[int], tuple[float, float]]


def interleaved(
    variants: Mapping[str, Callable[[], object] | Turns],
    *,
    rounds: int,
    turn_seconds: float = 0.05,
    warm_up: bool = True,
    clock: Callable[[], float] = time.perf_counter,
    processor_clock: Callable[[], float] = time.process_time,
) -> dict[str, Measurement]:
    """Times variants in turns: A B C A B C ...

    Args:
        variants: what to call, by name; every call does the same work and returns when it is done. Or what
            times itself.
        rounds: turns of every variant, at least 2.
        turn_seconds: a turn repeats its call until it takes about this long.
        warm_up: calls every variant twice before the first round: to compile and fill caches, and to find
            out how often a turn should call it. Without, a turn is one call.
        clock: of wall time, in seconds.
        processor_clock: of processor time, in seconds.

    Returns:
        A Measurement per variant.

    Raises:
        ValueError: fewer than 2 rounds.
    """
    if rounds < 2:
        raise ValueError(f"quartiles need at least 2 rounds. Received: rounds={rounds}")
    timers = {
        name: variant.run if isinstance(variant, Turns) else _timer(variant, clock, processor_clock)
        for name, variant in variants.items()
    }
    calls = dict.fromkeys(variants, 1)
    for name, timer in timers.items() if warm_up else ():
        timer(1)
        calls[name] = min(max(math.ceil(turn_seconds / max(timer(1)[0], 1e-9)), 1), _MOST_CALLS)
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, timer in timers.items():
            seconds, processor = timer(calls[name])
            turns[name].append((seconds / calls[name], processor / calls[name]))
    return {name: Measurement(*zip(*values, strict=True)) for name, values in turns.items()}


def _timer(variant, clock, processor_clock) -> Callable[[int], tuple[float, float]]:
    def run(calls: int) -> tuple[float, float]:
        start, used = clock(), processor_clock()
        for _ in range(calls):
            variant()
        return clock() - start, processor_clock() - used

    return run


def compare(
    title: str,
    ours: Measurement,
    compared_with: str,
    theirs: Measurement,
    show: Callable[[float], str],
    *,
    in_this_process: bool = True,
) -> Row:
    """Returns the row of two measurements.

    Args:
        title: what was measured.
        ours: of this project.
        compared_with: what it is compared with.
        theirs: of that.
        show: writes a number of seconds per call as a figure.
        in_this_process: whether all the work was; processor time is not known of other processes.
    """
    middle, low, high = ours.speed_against(theirs)
    return Row(
        title,
        show(ours.median),
        compared_with,
        show(theirs.median),
        f"{middle:.2f} ({low:.2f}-{high:.2f})",
        f"{ours.economy_against(theirs):.2f}" if in_this_process else "",
    )


def milliseconds(seconds: float) -> str:
    """Writes seconds as milliseconds with three digits that count."""
    return f"{1000 * seconds:.3g} ms" if seconds < 0.9995 else f"{1000 * seconds:.0f} ms"


def per_second(number: float, unit: str) -> Callable[[float], str]:
    """Returns a function that writes seconds per call, of `number` items each, as items per second."""

    def show(seconds: float) -> str:
        rate = number / seconds
        return f"{rate:.0f} {unit}/s" if rate >= 100 else f"{rate:.1f} {unit}/s"

    return show


def table(rows: list[Row]) -> str:
    """Returns the rows as a Markdown table with aligned columns."""
    head = ("what", "here", "compared with", "there", "times as fast (quartiles)", "by processor time")
    lines = [head, *(dataclasses.astuple(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def machine_class() -> str:
    """Returns cores, architecture and instruction sets of this machine in one line; nothing that names it."""
    processor = pathlib.Path("/proc/cpuinfo")
    words = set(processor.read_text().split()) if processor.is_file() else set()
    flags = [flag for flag in _FLAGS if flag in words]
    return f"{os.cpu_count()} cores, {platform.machine()}, {', '.join(flags) or 'instruction sets not known'}"


def load() -> str:
    """Returns the machine's load average of the last minute, which counts what else it does."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "not known"
