"""Where a run goes on that is resumed."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from stn_lightning.callbacks._loop_state import COUNTS, settle
from stn_lightning.callbacks._random_state import of_each_rank
from stn_lightning.data._epoch_order import Resumable


class ResumePoint(Callback):
    """Makes a checkpoint one that a run goes on from as if it had not been interrupted, wherever it was written.

    Lightning resumes exactly between two batches, and at the end of an epoch. Elsewhere something is lost: a validation
    that is due behind the last batch of an epoch, the rest of an epoch that was cut short (``max_time``, ``should_stop``),
    gradients that were accumulated. So this brings the progress of the loops to the last batch that was done, says whether
    a validation is to be done, from its beginning, and keeps the gradients of every process between accumulated batches.

    Where another number of processes resumes in the middle of an epoch, the progress becomes that of so many processes; the
    gradients of a step that was not complete are dropped, and a line says so.

    It has to be there when the checkpoint is written, and when it is loaded.
    """

    KEY = "accumulated_gradients"

    def __init__(self) -> None:
        self._gradients: list[dict[str, Any]] | None = None
        self._loader_state: dict[str, int] | None = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn != "fit":
            return
        batches = settle(checkpoint["loops"]["fit_loop"], trainer)
        if batches % trainer.accumulate_grad_batches and batches != trainer.num_training_batches:
            own = {name: p.grad.cpu() for name, p in pl_module.named_parameters() if p.grad is not None}
            checkpoint[self.KEY] = of_each_rank(own)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._gradients = checkpoint.get(self.KEY)
        states = checkpoint["loops"]["fit_loop"]["state_dict"].get("combined_loader") or [None]
        self._loader_state = states[0]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loader = trainer.train_dataloader
        if trainer.fit_loop.restarting and isinstance(loader, Resumable):
            if self._loader_state is not None:  # Lightning forgets it where a scheduler asked for the number of steps
                loader.load_state_dict(self._loader_state)
            current = trainer.fit_loop.epoch_loop.batch_progress.current
            done = min(loader.behind, int(trainer.num_training_batches))
            for name in COUNTS:
                setattr(current, name, done)
        gradients, self._gradients = self._gradients, None
        if gradients is None:
            return
        if len(gradients) != trainer.world_size:
            rank_zero_info(
                f"The checkpoint was written between accumulated batches by {len(gradients)} process(es), and "
                f"{trainer.world_size} go on with it: their gradients are dropped"
            )
            return
        for name, parameter in pl_module.named_parameters():
            if name in gradients[trainer.global_rank]:
                parameter.grad = gradients[trainer.global_rank][name].to(parameter)
