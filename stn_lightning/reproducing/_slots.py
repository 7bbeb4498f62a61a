"""Where runs run at the same time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import torch

CORES_OF_A_RUN = 2


class Slot(NamedTuple):
    """A place for one process.

    Attributes:
        device: its ``CUDA_VISIBLE_DEVICES``; None on the CPU.
        threads: its ``OMP_NUM_THREADS``.
    """

    device: str | None
    threads: int


def slots(jobs: int | None, share: int, gpus: Sequence[str], cores: int, threads: int | None = None) -> list[Slot]:
    """Places for runs.

    On GPUs each has ``share`` runs, and the first runs go to different ones. On a CPU two cores have a run: the networks
    are too small for more threads, and each process keeps data of its own.

    Args:
        jobs: at most so many at once; None for as many as there are places.
        share: runs of a GPU at the same time.
        gpus: their names for ``CUDA_VISIBLE_DEVICES``.
        cores: of the CPU.
        threads: of a run; None for an equal part of the cores.

    Raises:
        ValueError: if ``jobs`` or ``share`` is below 1.
    """
    for name, value in (("--jobs", jobs), ("--share", share)):
        if value is not None and value < 1:
            raise ValueError(f"expected {name} of at least 1, got {value}")
    devices: list[str | None] = [gpu for _ in range(share) for gpu in gpus]
    if not devices:
        devices = [None] * (jobs or max(1, cores // CORES_OF_A_RUN))
    devices = devices[:jobs]
    return [Slot(device, threads or max(1, cores // len(devices))) for device in devices]


def gpus() -> list[str]:
    """Those that this process may use, by their names for ``CUDA_VISIBLE_DEVICES``."""
    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return (named or [str(i) for i in range(count)])[:count]


def cores() -> int:
    """Of those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
