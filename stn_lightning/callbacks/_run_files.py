"""Files in the folder of a run, whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lightning.pytorch import Trainer


def run_folder(trainer: Trainer) -> Path:
    """The folder of a run; the trainer's root where no logger has one.

    The first process tells the others: all must call it, and as often.
    """
    return Path(trainer.log_dir or trainer.default_root_dir)


def of_process(name: str, trainer: Trainer) -> str:
    """The name of what each process writes for itself: with its rank where there are several."""
    return f"{name}_{trainer.global_rank}" if trainer.world_size > 1 else name


@contextmanager
def whole_file(file: Path) -> Iterator[BinaryIO]:
    """A file to write, in a folder that is made: it gets its name when all is on the disk, and never on an error.

    Args:
        file: to be written or replaced.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
