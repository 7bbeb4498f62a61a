"""The newest good checkpoint below a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from stn_lightning._files import remove_litter
from stn_lightning.checkpoints._reading import read_checkpoint

OF_RUNS = "version_*/checkpoints/**/*.ckpt"
NAMES = {"last": OF_RUNS, "best": OF_RUNS, "hpc": "hpc_ckpt_*.ckpt"}  # hpc: what Lightning writes where SLURM ends a job


class Found(NamedTuple):
    """A checkpoint that was sought.

    Attributes:
        file: where it is.
        checkpoint: its content.
        skipped: what is wrong with each newer one.
    """

    file: Path
    checkpoint: dict[str, Any]
    skipped: list[str]


def find_checkpoint(which: str, root: Path) -> Found:
    """The newest good checkpoint of the runs below a folder; what killed runs left half-written there is removed.

    Args:
        which: ``last``, whatever its name; ``best``, a ``best.ckpt``; or ``hpc``, what SLURM left, which is no run's.
        root: the folder of the runs, each ``version_N/checkpoints``.

    Raises:
        FileNotFoundError: if there is none: a run never starts anew in silence.
        ValueError: if none is good, naming what is wrong with each.
    """
    for folder in root.glob("version_*/checkpoints"):
        remove_litter(folder, "*.ckpt")
    files = [file for file in root.glob(NAMES[which]) if which != "best" or file.name == "best.ckpt"]
    skipped: list[str] = []
    for file in sorted(files, key=_changed, reverse=True):
        try:
            return Found(file, read_checkpoint(file), skipped)
        except (OSError, ValueError) as e:
            skipped.append(str(e))
    if skipped:
        raise ValueError(f"no good {which} checkpoint in {root}: {'; '.join(skipped)}")
    expected = NAMES["hpc"] if which == "hpc" else f"version_*/checkpoints/{which}.ckpt"
    raise FileNotFoundError(f"no {which} checkpoint in {root}: expected {expected}")


def _changed(file: Path) -> int:
    """When it was written, in ns; of a link, when that was made, since it may lead to nothing."""
    try:
        return file.lstat().st_mtime_ns
    except FileNotFoundError:  # its run removed it just now
        return 0
