"""What lies in files: hashes of it, work ahead of its writing, and when it is on the disk."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
BLOCK = 1 << 25
PIECE = 1 << 20
THREADS = min(16, os.cpu_count() or 1)


def digests(file: Path) -> list[str]:
    """SHA-256 of each 32 MiB of a file; several threads share a large one."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda start: _digest(file, start), range(0, file.stat().st_size, BLOCK)))


def _digest(file: Path, start: int) -> str:
    digest, piece, left = hashlib.sha256(), memoryview(bytearray(PIECE)), BLOCK
    with file.open("rb", buffering=0) as stream:
        stream.seek(start)
        while left and (count := stream.readinto(piece[:left])):
            digest.update(piece[:count])
            left -= count
    return digest.hexdigest()


def in_order(jobs: Sequence[Callable[[], T]]) -> Iterator[T]:
    """The results of functions, in their order; threads work a few ahead, so that few results wait in memory.

    Raises:
        Exception: what the first function raises that fails; those not begun are given up.
    """
    pending: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(THREADS)
    try:
        for job in jobs:
            pending.append(pool.submit(job))
            if len(pending) > 4 * THREADS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
