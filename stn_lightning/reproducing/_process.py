"""A process that ends with the one that started it, and the lock that both hold."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from time import monotonic, sleep

from stn_lightning.processes import at_death_of_parent
from stn_lightning.reproducing._slots import Slot

LOCK = ".lock"
# of glibc's malloc: it gives nothing back to the kernel, which else fills each large tensor with zeros, page by page
KEPT_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
PATIENCE = 20.0  # seconds that the processes of a killed runner have to write their checkpoints


def start(command: Sequence[str], log: Path, slot: Slot, lock: int) -> subprocess.Popen[bytes]:
    """Starts a process in a session of its own, where Ctrl-C of a terminal does not reach it.

    Args:
        command: what is run.
        log: takes what it says.
        slot: its place.
        lock: a file descriptor that it keeps.
    """
    environment = {**KEPT_MEMORY, **os.environ, "OMP_NUM_THREADS": str(slot.threads)}
    if slot.device is not None:
        environment["CUDA_VISIBLE_DEVICES"] = slot.device
    with log.open("ab") as stream:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            pass_fds=[lock],
            preexec_fn=at_death_of_parent(signal.SIGTERM),
        )


@contextmanager
def only_one(folder: Path) -> Iterator[int]:
    """A lock of a folder, as a file descriptor: whoever inherits it holds it too, until the last of them has ended.

    (That is why it is no ``filelock.FileLock``, whose file descriptor nobody inherits.)

    Raises:
        ValueError: if another runner, or a process that one left, holds it for 20 s.
    """
    folder.mkdir(parents=True, exist_ok=True)
    give_up = monotonic() + PATIENCE
    with (folder / LOCK).open("a+") as stream:
        while True:
            try:
                flock(stream, LOCK_EX | LOCK_NB)
            except BlockingIOError as e:
                if monotonic() > give_up:
                    raise ValueError(f"{folder} is in use by another `stn reproduce`, or by a run that one left") from e
                sleep(0.1)
            else:
                break
        yield stream.fileno()
