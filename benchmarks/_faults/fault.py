"""What a fault is, and what is known of it when it was injected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Fault(NamedTuple):
    """A kind of fault.

    Attributes:
        name: what is done to what, as the table says it.
        goal: what must not happen: ``lost``, ``executed``, ``hung``, ``accepted``.
        trials: how often ``make faults`` injects it.
        sample: how often the tests do.
        trial: injects it once, in an empty folder of its own; called with the number of the trial, of which all that is by
            chance is a function, and the folder. It returns what went wrong, in words; an empty text where nothing did. What
            it raises is a fault of the trial itself.
    """

    name: str
    goal: str
    trials: int
    sample: int
    trial: Callable[[int, Path], str]
