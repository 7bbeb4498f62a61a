"""Ranks that die (SIGKILL) or freeze (SIGSTOP)."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from time import sleep

from _faults._jobs import Job, Launch, chance, timeout
from _faults.fault import Fault

TIMEOUT = 10  # seconds


def dies(number: int, folder: Path) -> str:
    return hit(number, folder, signal.SIGKILL, 5)


def freezes(number: int, folder: Path) -> str:
    return hit(number, folder, signal.SIGSTOP, TIMEOUT + 10)


def hit(number: int, folder: Path, what: signal.Signals, limit: float) -> str:
    """Either rank, started by the other or by ``torchrun``; it must be an error soon, and nothing may be left."""
    launch: Launch = "popen" if number % 2 else "torchrun"
    draw = chance(number, what.name)
    job = Job(folder, launch, timeout(TIMEOUT))
    if not job.wait_until(job.has_trained):
        return f"no training: {job.output()}"
    sleep(draw.uniform(0, 2))
    os.kill(job.target(draw.choice("01")), what)
    code, took, left = job.end(limit + 60)
    wrong = []
    if took > limit or left:
        wrong.append(f"{took:.1f} s, {left} processes left")
    if not code:
        wrong.append(f"exit code {code}: {job.output()}")
    return "; ".join(wrong)


FAULTS = [
    Fault("a rank is killed", "other ranks later than 5 s, exit code 0, a process left", 10, 0, dies),
    Fault(
        "a rank freezes (timeout of 10 s)",
        "other ranks later than 10 s behind the timeout, exit code 0, a process left",
        10,
        0,
        freezes,
    ),
]
