"""Times of several calls on a machine that others use too, and tables of them."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Timing:
    """Seconds per call: the shortest and the median of all samples."""

    shortest: float
    median: float

    def text(self, factor: float) -> str:
        """Shortest and median after conversion of the unit, as "3.31 (3.42)"."""
        return f"{_digits(self.shortest * factor)} ({_digits(self.median * factor)})"


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    sample_seconds: float = 0.02,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, Timing]:
    """Time all calls in turn, round after round, so that a busy moment hits every one of them.

    A sample repeats its call until it has lasted `sample_seconds`: of samples of different lengths the short ones would
    more often slip between two disturbances.

    Parameters
    ----------
    calls : mapping of str to callable
        By the name of the result.
    rounds : int
        Samples of each call.
    sample_seconds : float
        Least duration of a sample.
    clock : callable
        `time.process_time` counts the CPU seconds of all threads, `time.perf_counter` those of the wall.
    """
    repeats = {}
    for name, call in calls.items():
        start = clock()
        call()  # also fills caches and neighbour lists
        repeats[name] = max(1, round(sample_seconds / max(clock() - start, 1e-6)))
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = clock()
            for _ in range(repeats[name]):
                call()
            samples[name].append((clock() - start) / repeats[name])
    return {name: Timing(min(values), statistics.median(values)) for name, values in samples.items()}


def verdict(value: float, goal: float | None, *, at_least: bool = True) -> str:
    """Text for a column of goals: "10: met", "10: missed", or nothing."""
    if goal is None:
        return ""
    met = value >= goal if at_least else value <= goal
    return f"{'>=' if at_least else '<='} {goal:g}: {'met' if met else 'missed'}"


def print_machine() -> None:
    """Print what the numbers belong to: the day, the processor and how busy it is."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    print(f"{time.strftime('%Y-%m-%d')}, {model}, {os.cpu_count()} processors")
    print_load()


def print_load() -> None:
    """Print the load average, to be seen before and after the measurement."""
    print("load average {:.1f} {:.1f} {:.1f}".format(*os.getloadavg()), flush=True)


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table that also reads well as it is."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    print(f"\n{title}\n")
    for row in (header, ["-" * width for width in widths], *rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
    print(flush=True)


def _digits(value: float) -> str:
    """Three significant digits, no exponent."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"
