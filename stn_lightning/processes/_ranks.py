"""The ranks of a run: none outlives the others."""

from __future__ import annotations

import atexit
import ctypes
import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from time import sleep

import torch.distributed as dist
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import StrategyRegistry

from stn_lightning.processes._termination import EXIT_CODE, end_now

TIMEOUT = timedelta(seconds=120)
MAIN = "STN_MAIN_PROCESS"
TO_END = 3.0  # seconds that processes have to end by themselves
SIGNAL_AT_DEATH_OF_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


def is_child() -> bool:
    """Whether another process of ``stn`` started this one as a rank."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return False
    return os.environ.get(MAIN, str(os.getpid())) != str(os.getpid()) and os.environ.get("LOCAL_RANK", "0") != "0"


def limit_waiting() -> None:
    """Gives strategies that are named, such as ``ddp``, a timeout of 120 s; one that is given as an object keeps its own."""
    for name in StrategyRegistry.available_strategies():
        if "timeout" in inspect.signature(StrategyRegistry[name]["strategy"]).parameters:
            StrategyRegistry[name]["init_params"].setdefault("timeout", TIMEOUT)


def end_with_parent() -> None:
    """Makes the kernel kill this rank when what started it ends: the main process, or the agent of ``torchrun``."""
    if is_child():
        parent = int(os.environ[MAIN])
    elif "TORCHELASTIC_RUN_ID" in os.environ:
        parent = os.getppid()
    else:
        os.environ[MAIN] = str(os.getpid())
        return
    if listen := at_death_of_parent(signal.SIGKILL):
        listen()
    if os.getppid() != parent:
        sys.exit("stn: error: the main process has ended")


def at_death_of_parent(number: signal.Signals) -> Callable[[], None] | None:
    """What makes the kernel send the process that calls it a signal when its parent ends; None where there is no such thing.

    Args:
        number: the signal.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(SIGNAL_AT_DEATH_OF_PARENT, number)


def look_after_children(trainer: Trainer) -> None:
    """Ends this process when a rank that it started fails, and those ranks when it ends.

    Args:
        trainer: before it is run.
    """
    launcher = trainer.strategy.launcher
    if launcher is None or is_child():
        return

    def children() -> list[Popen[bytes]]:
        return [process for process in getattr(launcher, "procs", []) if isinstance(process, Popen)]

    def watch() -> None:
        while True:
            sleep(0.1)
            for child in [child for child in children() if child.poll()]:
                asked = child.returncode in (EXIT_CODE, -signal.SIGTERM)
                if not asked:
                    sleep(TO_END)  # the main thread says better what happened
                end_now(EXIT_CODE if asked else 1, f"process {child.pid} of this run has ended ({child.returncode})")

    def end() -> None:
        for child in children():
            try:
                child.wait(TO_END)
            except TimeoutExpired:
                child.kill()
                child.wait()

    threading.Thread(target=watch, name="children", daemon=True).start()
    atexit.register(end)


def processes() -> list[tuple[str, int]]:
    """(machine, process) of every rank; none where there is one rank."""
    if not dist.is_available() or not dist.is_initialized():
        return []
    found: list[tuple[str, int]] = [("", 0)] * dist.get_world_size()
    dist.all_gather_object(found, (_machine(), os.getpid()))
    return found


def kill_stopped(others: list[tuple[str, int]]) -> None:
    """Kills those of this machine that are stopped, as by SIGSTOP: what asks them to end, they do not hear.

    Args:
        others: (machine, process) of every rank.
    """
    for rank, (machine, process) in enumerate(others):
        with suppress(OSError):
            if machine == _machine() and "\nState:\tT" in Path(f"/proc/{process}/status").read_text():
                os.write(2, f"stn: error: rank {rank} (process {process}) is stopped: killed\n".encode())
                os.kill(process, signal.SIGKILL)


def _machine() -> str:
    """A name of the machine, or of the container, in which process numbers mean the same."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{boot.read_text()}{os.readlink('/proc/self/ns/pid')}" if boot.exists() else ""
