"""The axis of a panel."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import NamedTuple

LOWEST = 0.01  # of a logarithmic axis
MARGIN = 0.06  # of its length, at both ends
MOST_TICKS = 5


class Axis(NamedTuple):
    """An axis from 0 to 1.

    Attributes:
        low: value at 0.
        high: value at 1.
        logarithmic: whether it is.
        ticks: values to be written.
    """

    low: float
    high: float
    logarithmic: bool
    ticks: Sequence[float]

    def place(self, value: float) -> float:
        """Where a value is, from 0 to 1; what is outside is at an end."""
        value = min(self.high, max(self.low, value))
        if self.logarithmic:
            return log10(value / self.low) / log10(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def axis(values: Sequence[float], logarithmic: bool) -> Axis:
    """The axis on which all values have a place.

    Args:
        values: perhaps none.
        logarithmic: values below 0.01 stand at its lower end.
    """
    low, high = min(values, default=1.0), max(values, default=10.0)
    if logarithmic:
        ends = [log10(max(low, LOWEST)), log10(max(high, LOWEST))]
        margin = max((ends[1] - ends[0]) * MARGIN, 0.05)
        low, high = 10 ** (ends[0] - margin), 10 ** (ends[1] + margin)
        powers = range(floor(log10(low)), ceil(log10(high)) + 1)
        choices = [[m * 10.0**p for p in powers for m in steps] for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))]
    else:
        margin = max((high - low) * MARGIN, 0.5)
        low, high = low - margin, high + margin
        choices = [[step * i for i in range(ceil(low / step), floor(high / step) + 1)] for step in (0.5, 1, 2, 5, 10, 20, 50)]
    within = [[tick for tick in ticks if low <= tick <= high] for ticks in choices]
    return Axis(low, high, logarithmic, next((ticks for ticks in within if len(ticks) <= MOST_TICKS), within[-1]))
