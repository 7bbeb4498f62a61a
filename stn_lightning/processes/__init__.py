"""The processes of a run: signals that ask them to end, and none that outlives the others."""

from stn_lightning.processes._ranks import (
    TIMEOUT,
    at_death_of_parent,
    end_with_parent,
    is_child,
    kill_stopped,
    limit_waiting,
    look_after_children,
    processes,
)
from stn_lightning.processes._termination import EXIT_CODE, Termination, end_now

__all__ = [
    "EXIT_CODE",
    "TIMEOUT",
    "Termination",
    "at_death_of_parent",
    "end_now",
    "end_with_parent",
    "is_child",
    "kill_stopped",
    "limit_waiting",
    "look_after_children",
    "processes",
]
