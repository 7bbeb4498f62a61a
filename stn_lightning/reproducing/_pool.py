"""Runs as processes, several at once, none of which outlives the runner."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from subprocess import Popen
from time import sleep
from types import FrameType
from typing import NamedTuple

from stn_lightning._printable import printable
from stn_lightning.reproducing._job import Job
from stn_lightning.reproducing._process import start
from stn_lightning.reproducing._slots import Slot
from stn_lightning.reproducing._stages import Stage, next_stage, note_start

LOG = "log.txt"
TICK = 0.1  # seconds


class Asked(Exception):
    """The runner was asked to end.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class _Running(NamedTuple):
    job: Job
    stage: Stage
    slot: Slot
    process: Popen[bytes]


class Pool:
    """Runs jobs, each stage as a process, until all have ended.

    SIGINT and SIGTERM are handed on as SIGTERM: a training writes ``last.ckpt`` and ends. A second one kills. On Linux the
    processes are asked to end when this one is killed, too.

    Args:
        slots: places for processes.
        lock: file descriptor of a lock that the processes hold as long as they live.
        say: is told what happens.
        finished: is called with each job all of whose stages are done.
    """

    def __init__(self, slots: Sequence[Slot], lock: int, say: Callable[[str], None], finished: Callable[[Job], None]) -> None:
        self.lock, self.say, self.finished = lock, say, finished
        self._free, self._running, self._failed = list(slots), list[_Running](), list[Job]()

    def run(self, jobs: Sequence[Job]) -> list[Job]:
        """Runs jobs in their order.

        Returns:
            Those that failed.

        Raises:
            Asked: when the runner was asked to end, and its processes have ended.
            OSError: if ``finished`` raised it, or a file of a run could not be written; its processes have ended.
        """
        waiting = list(jobs)
        with _asked() as asked, self._none_left(asked):
            while (waiting or self._running) and not asked:
                while waiting and self._free:
                    self._go_on(waiting.pop(0), None)
                sleep(TICK)
                for each in [each for each in self._running if each.process.poll() is not None]:
                    self._running.remove(each)
                    self._free.append(each.slot)
                    if code := each.process.returncode:
                        self._give_up(each.job, f"{each.stage.kind} ended with exit code {code}: {_last_words(each.job)}")
                    else:
                        self._go_on(each.job, each.stage)
        if asked:
            raise Asked(asked[0])
        return self._failed

    def _go_on(self, job: Job, after: Stage | None) -> None:
        stage = next_stage(job)
        if stage is None:
            self.finished(job)
        elif after is not None and after.kind == stage.kind:
            self._give_up(job, f"{stage.kind} ended, but left no summary.json below {job.folder}: has it a logger?")
        else:
            slot = self._free.pop(0)
            threads = job.threads or slot.threads
            job.folder.mkdir(parents=True, exist_ok=True)
            if stage.kind == "fit":
                note_start(job, threads)
            goes_on, gpu = ", goes on" if stage.goes_on else "", f", GPU {slot.device}" if slot.device else ""
            self.say(f"{job.name}: {stage.kind}{goes_on}{gpu}")
            process = start(stage.command, job.folder / LOG, slot._replace(threads=threads), self.lock)
            self._running.append(_Running(job, stage, slot, process))

    def _give_up(self, job: Job, why: str) -> None:
        self._failed.append(job)
        self.say(f"{job.name}: {why}")

    @contextmanager
    def _none_left(self, asked: Sequence[int]) -> Iterator[None]:
        try:
            yield
        finally:
            for each in self._running:
                each.process.terminate()
            while any(each.process.poll() is None for each in self._running):
                sleep(TICK)
                if len(asked) > 1:
                    for each in self._running:
                        each.process.kill()


@contextmanager
def _asked() -> Iterator[list[int]]:
    """The signals heard so far that ask to end."""
    heard: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _last_words(job: Job) -> str:
    lines = [line for line in (job.folder / LOG).read_text(errors="replace").splitlines() if line.strip()]
    said = [line for line in lines if "error:" in line.lower()] or lines or ["it said nothing"]
    return f"{printable(said[-1].strip()):.300} (all of it: {job.folder / LOG})"
