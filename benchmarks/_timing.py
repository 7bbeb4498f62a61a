"""Timing of functions against each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter


def interleaved(functions: Mapping[str, Callable[[], object]], rounds: int, least: float = 2e-2) -> dict[str, float]:
    """Median milliseconds of each function; the functions take turns, so that a busy neighbour slows all alike.

    Args:
        functions: what is timed.
        rounds: turns of each function, after two for warming up.
        least: a turn repeats its function for at least so many seconds.
    """
    repeats = {name: _repeats(function, least) for name, function in functions.items()}
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = perf_counter()
            for _ in range(repeats[name]):
                function()
            times[name].append((perf_counter() - start) / repeats[name] * 1e3)
    return {name: median(values) for name, values in times.items()}


def _repeats(function: Callable[[], object], least: float) -> int:
    function()
    start = perf_counter()
    function()
    return max(1, round(least / max(perf_counter() - start, 1e-6)))
