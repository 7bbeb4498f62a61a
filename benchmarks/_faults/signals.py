"""Jobs that are asked to end (SIGTERM), at any moment."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from time import sleep, time

from _faults._jobs import Job, Launch, chance, last_step
from _faults.fault import Fault

GOAL = "later than 15 s, another exit code than 143, no last.ckpt, a process left"
PROCESSES: dict[Launch, int] = {"one": 1, "popen": 2, "torchrun": 3}
TORCHRUN_SAYS = 1  # whatever its ranks say


def one_process(number: int, folder: Path) -> str:
    return terminate(number, folder, "one", ["0"])


def two_ranks(number: int, folder: Path) -> str:
    launch: Launch = "popen" if number % 2 else "torchrun"
    targets = chance(number, "target").choice([["agent"], ["0"], ["1"], ["0", "1"]])
    return terminate(number, folder, launch, targets)


def terminate(number: int, folder: Path, launch: Launch, targets: list[str]) -> str:
    """One in four before the first step is done, the others later: in a step, in a validation, while saving."""
    draw = chance(number, "moment")
    job = Job(folder, launch)
    early = draw.random() < 0.25
    if early:
        job.wait_until(lambda: bool(list(folder.glob("runs/version_0"))) and len(job.processes()) >= PROCESSES[launch])
        sleep(draw.uniform(0, 4))
    elif not job.wait_until(job.has_trained):
        return f"no training: {job.output()}"
    else:
        sleep(draw.uniform(0, 3))
    trained = job.has_trained()
    told = time()
    for target in [job.target(name) for name in targets]:
        os.kill(target, signal.SIGTERM)
    code, took, left = job.end(60)
    # the default action of a process that has not begun to train
    allowed = (
        {128 + signal.SIGTERM} | ({-signal.SIGTERM} if early else set()) | ({TORCHRUN_SAYS} if launch == "torchrun" else set())
    )
    wrong = []
    if took > 15 or left:
        wrong.append(f"{took:.1f} s, {left} processes left")
    if code not in allowed:
        wrong.append(f"exit code {code}: {job.output()}")
    if trained and not any(file.name == "last.ckpt" and file.stat().st_mtime > told for file in job.checkpoints()):
        wrong.append("no last.ckpt")
    elif trained and last_step(folder) < 1:
        wrong.append("no step in last.ckpt")
    return "; ".join(wrong)


FAULTS = [
    Fault("SIGTERM to a job of one process", GOAL, 20, 1, one_process),
    Fault("SIGTERM to a job of two ranks (ranks, main process, agent of torchrun)", GOAL, 30, 0, two_ranks),
]
