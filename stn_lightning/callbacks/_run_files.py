"""The folder of a run."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Trainer


def run_folder(trainer: Trainer) -> Path:
    """The folder of a run; the trainer's root where no logger has one.

    The first process tells the others: all must call it, and as often.
    """
    return Path(trainer.log_dir or trainer.default_root_dir)


def of_process(name: str, trainer: Trainer) -> str:
    """The name of what each process writes for itself: with its rank where there are several."""
    return f"{name}_{trainer.global_rank}" if trainer.world_size > 1 else name
