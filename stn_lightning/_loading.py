"""What a command gets from the file of a checkpoint: its task, and the data of the run that wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser
from lightning.pytorch import LightningDataModule

import stn_lightning.data  # noqa: F401  (its classes are known by their short names)
from stn_lightning._import_policy import ImportPolicy
from stn_lightning._yaml import read_yaml
from stn_lightning.checkpoints import hyper_parameters, read_checkpoint
from stn_lightning.tasks import Task
from stn_lightning.tasks._load import load_task

CONFIG = "config.yaml"


def load_checkpoint(file: Path, opened: Sequence[str] = ()) -> Task:
    """The task of a checkpoint, with its weights, on the CPU, in evaluation mode.

    Args:
        file: written by a run of ``stn``.
        opened: packages whose classes it may name beside the usual ones (``--allow-import``).

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: if it is damaged, no checkpoint of a task, not finite, or names classes that are not open.
    """
    checkpoint = read_checkpoint(file)
    if not hyper_parameters(checkpoint):
        raise ValueError(f"{file} is no checkpoint of stn: it names no task")
    try:
        task: Task = load_task(Task, checkpoint, None, {}, opened)  # type: ignore[type-abstract]
    except (RuntimeError, TypeError, KeyError) as e:  # of weights or arguments that the task does not have
        raise ValueError(f"{file} does not fit its task: {' '.join(str(e).split())[:300]}") from e
    return task.eval()


def data_of_run(file: Path, opened: Sequence[str] = ()) -> LightningDataModule | None:
    """The data module of the run that a checkpoint is of, as its ``config.yaml`` has it; not yet set up.

    Args:
        file: the checkpoint, ``RUN/checkpoints/NAME.ckpt``; the config is ``RUN/config.yaml``.
        opened: packages whose classes the config may name beside the usual ones.

    Returns:
        None where there is no such config.

    Raises:
        ValueError: if the config has no data, or names classes that are not open.
    """
    config = file.absolute().parent.parent / CONFIG
    if not config.is_file():
        return None
    policy = ImportPolicy(opened)
    policy.enforce()
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningDataModule, "data", required=True)
    try:
        asked = parser.parse_object({"data": read_yaml(config)["data"]})
    except (KeyError, TypeError) as e:
        raise ValueError(f"{config} has no data of a run: {' '.join(str(e).split())[:300]}") from e
    policy.check(asked)
    data: LightningDataModule = parser.instantiate(asked).data
    return data
