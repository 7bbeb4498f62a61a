"""How a run writes, reads and removes checkpoints."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from lightning.pytorch.plugins import CheckpointIO
from lightning.pytorch.utilities import rank_zero_warn

from stn_lightning._files import remove_litter, whole_file
from stn_lightning.checkpoints._archive import sealed
from stn_lightning.checkpoints._reading import local_path, read_checkpoint

MB = 1e6


def write_checkpoint(checkpoint: dict[str, Any], file: str | Path) -> None:
    """Writes a checkpoint with its checksum; the file is replaced when all is on the disk, or stays as it is.

    Args:
        checkpoint: plain data.
        file: local.

    Raises:
        OSError: naming the file, the space that it needs and what is free, if it cannot be written, as on a full disk.
        ValueError: for an address.
    """
    file = local_path(file)
    content = sealed(checkpoint)
    remove_litter(file.parent, "*.ckpt")
    try:
        with whole_file(file) as stream:
            stream.write(content.getbuffer())
    except OSError as e:
        there = next(folder for folder in file.absolute().parents if folder.is_dir())
        sizes = [content.getbuffer().nbytes / MB, shutil.disk_usage(there).free / MB]
        raise OSError(
            f"{file} could not be saved: {e.strerror}; it needs {sizes[0]:.1f} MB, {sizes[1]:.1f} MB are free there; the run "
            f"ends here, what was saved before is whole"
        ) from e


class WholeCheckpoints(CheckpointIO):
    """Checkpoints that are whole or not there, and verified over all their bytes when they are read.

    A file is written beside its target, brought to the disk and renamed: where a run is killed, or a disk full, the one before
    stays. It ends with a SHA-256 of all that is before it, as the comment of its zip archive; ``torch.load`` reads it as any
    other. Every command of ``stn`` uses it, unless ``trainer.plugins`` has a CheckpointIO of the user's.

    Raises:
        OSError: if a file cannot be written: a run that cannot be saved ends.
        ValueError: for a file that is damaged, holds more than plain data, or weights that are not finite; for an address.
    """

    def __init__(self) -> None:
        self._read: tuple[Path, dict[str, Any]] | None = None

    def hand_over(self, file: Path, checkpoint: dict[str, Any]) -> None:
        """Makes the next load, if it is of this file, take what was read of it already.

        Args:
            file: where the checkpoint is.
            checkpoint: what ``read_checkpoint`` gave.
        """
        self._read = file, checkpoint

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        if storage_options is not None:
            raise ValueError(f"expected no storage_options for a local file, got {storage_options!r}")
        write_checkpoint(checkpoint, path)

    def load_checkpoint(self, path: str | Path, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        if weights_only is False:
            raise ValueError(f"{path}: weights_only=False is not allowed: a checkpoint could run code")
        read, self._read = self._read, None
        if read is not None and read[0] == Path(path):
            return read[1]
        return read_checkpoint(path, "cpu" if map_location is None else map_location)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Removes a file. One whose path leaves a folder again stays: a crafted checkpoint may have named it."""
        if os.path.normpath(path) != str(Path(path)):
            rank_zero_warn(f"{path} is not removed: expected a path without '..'")
        elif Path(path).is_symlink() or Path(path).is_file():
            Path(path).unlink(missing_ok=True)
