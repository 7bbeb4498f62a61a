"""Checkpoints of a run: the best and the last."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn
from torch import Tensor

from stn_lightning.checkpoints import read_checkpoint, write_checkpoint


def is_rank_zero() -> bool:
    """Whether this process is the first, or the only one, of a run."""
    return rank_zero_only(lambda: True)() is True


class BestAndLast(ModelCheckpoint):
    """Keeps ``best.ckpt``, by the lowest value of a metric, and ``last.ckpt``, written at the end of each epoch.

    (``ModelCheckpoint(save_last=True)`` of Lightning 2.6 writes the last only where it writes the best.) A run that is resumed
    goes on in a folder of its own; it takes the ``best.ckpt`` beside the checkpoint that it goes on from, and its score,
    along. No other file that a checkpoint names is read, replaced or removed.

    The best is written at the validation that found it, so that its weights are those that were validated.

    Args:
        monitor: the metric; None keeps the newest as the best.
        dirpath: folder of the checkpoints; None for that of the run.
        every_n_steps: write ``last.ckpt`` within epochs too, whenever the number of steps is a multiple of this one, at least
            1; None for the ends of epochs alone.

    Raises:
        ValueError: if ``every_n_steps`` is below 1.
    """

    def __init__(
        self, monitor: str | None = "val/error", dirpath: str | Path | None = None, every_n_steps: int | None = None
    ) -> None:
        if every_n_steps is not None and every_n_steps < 1:
            raise ValueError(f"expected every_n_steps of at least 1, got {every_n_steps}")
        super().__init__(
            dirpath=dirpath,
            filename="best",
            monitor=monitor,
            save_on_train_epoch_end=monitor is None,
            enable_version_counter=False,
        )
        self.every_n_steps = every_n_steps
        self._step_of_last = 0

    def write_last(self, trainer: Trainer) -> None:
        """Writes ``last.ckpt`` now. All processes of a run call it together.

        Args:
            trainer: of the run.

        Raises:
            OSError: if it cannot be written; the one before stays.
        """
        if self.dirpath and not getattr(trainer, "fast_dev_run", False):
            self.last_model_path = str(Path(self.dirpath) / "last.ckpt")
            self._step_of_last = trainer.global_step
            trainer.save_checkpoint(self.last_model_path, self.save_weights_only)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        step = trainer.global_step  # stays the same while gradients accumulate
        if self.every_n_steps and step % self.every_n_steps == 0 and step != self._step_of_last and not trainer.is_last_batch:
            self.write_last(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        self.write_last(trainer)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Takes the best checkpoint so far along."""
        if trainer.state.fn != "fit" or not self.dirpath or not trainer.ckpt_path or self.monitor is None:
            return
        copy = Path(self.dirpath) / "best.ckpt"
        score = self._take_along(Path(trainer.ckpt_path).with_name(copy.name), copy) if is_rank_zero() else None
        score = trainer.strategy.broadcast(score)
        if score is not None:
            self.best_model_path = self.kth_best_model_path = str(copy)
            self.best_model_score = self.kth_value = score
            self.best_k_models = {str(copy): score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Does nothing: a checkpoint may name any file as its best or its last."""

    def _take_along(self, best: Path, copy: Path) -> Tensor | None:
        """The score of the best checkpoint, which is copied to the folder of this run; None where there is none."""
        try:
            checkpoint = read_checkpoint(best)
            score = checkpoint["callbacks"][self.state_key]["best_model_score"]
            if not isinstance(score, Tensor) or score.numel() != 1:
                raise TypeError(f"expected a number as best_model_score, got {score!r}")
        except FileNotFoundError:
            return None
        except (KeyError, TypeError, ValueError) as e:
            rank_zero_warn(f"the best checkpoint so far is not taken along: {best}: {type(e).__name__}: {e}")
            return None
        if best.absolute() != copy.absolute():
            write_checkpoint(checkpoint, copy)
            found = best.stat()
            os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))  # it is not newer than the last of the run before
        return score
