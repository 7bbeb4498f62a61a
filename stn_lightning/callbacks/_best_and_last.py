"""Checkpoints of a run: the best and the last."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint


def is_rank_zero() -> bool:
    """Whether this process is the first, or the only one, of a run."""
    return rank_zero_only(lambda: True)() is True


class BestAndLast(ModelCheckpoint):
    """Keeps ``best.ckpt``, by the lowest value of a metric, and ``last.ckpt``, written at the end of each epoch.

    (``ModelCheckpoint(save_last=True)`` of Lightning 2.6 writes the last only where it writes the best.) A run that is resumed
    goes on in a folder of its own; it takes the best checkpoint so far, and its score, along.

    The best is written at the validation that found it, so that its weights are those that were validated.

    Args:
        monitor: the metric; None keeps the newest as the best.
        dirpath: folder of the checkpoints; None for that of the run.
    """

    def __init__(self, monitor: str | None = "val/error", dirpath: str | Path | None = None) -> None:
        super().__init__(
            dirpath=dirpath,
            filename="best",
            monitor=monitor,
            save_on_train_epoch_end=monitor is None,
            enable_version_counter=False,
        )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        if self.dirpath and not getattr(trainer, "fast_dev_run", False):
            self.last_model_path = str(Path(self.dirpath) / "last.ckpt")
            trainer.save_checkpoint(self.last_model_path, self.save_weights_only)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        best = Path(state_dict.get("best_model_path") or ".")
        if self.dirpath and best.is_file() and best.parent.absolute() != Path(self.dirpath).absolute():
            state_dict = self._moved(state_dict, best, Path(self.dirpath))
        super().load_state_dict(state_dict)

    @staticmethod
    def _moved(state_dict: dict[str, Any], best: Path, folder: Path) -> dict[str, Any]:
        copy = folder / best.name
        if is_rank_zero():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(best, copy)
        return state_dict | {
            "dirpath": str(folder),
            "best_model_path": str(copy),
            "kth_best_model_path": str(copy),
            "best_k_models": {str(copy): state_dict["best_model_score"]},
            "last_model_path": "",
        }
