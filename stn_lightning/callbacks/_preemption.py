"""Runs that are asked to end."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import SIGTERMException

from stn_lightning.callbacks._best_and_last import BestAndLast
from stn_lightning.callbacks._random_state import restore, states
from stn_lightning.processes import EXIT_CODE, TIMEOUT, Termination, is_child, kill_stopped, processes


class Preemption(Callback):
    """Stops a run that is asked to end by SIGTERM: ``last.ckpt`` is written, and the exit code is 143.

    It does not matter which process of the run is asked: between two steps, or two batches of the validation, all ranks agree
    on what a handler noted, and stop together. (Lightning's own handler makes them agree inside the handler, where they wait
    for each other in different places.) The agreement is reached in the background of a step. A run that is resumed goes on
    behind the step (see ``ResumePoint``); a validation that was cut off is done again.

    Under SLURM, SIGUSR1 is taken for SIGTERM.

    A rank that fails kills those on its machine that are stopped (SIGSTOP) and would stay.

    Args:
        patience: seconds after which a process that was asked ends without a checkpoint, because a step, or another rank,
            takes longer. Saving has the time that it needs.

    Raises:
        ValueError: if ``patience`` is not positive.
    """

    def __init__(self, patience: float = 9.0) -> None:
        if not patience > 0:
            raise ValueError(f"expected a positive patience in seconds, got {patience}")
        asking = [signal.SIGTERM] + ([signal.SIGUSR1] if "SLURM_JOB_ID" in os.environ else [])
        self._termination = Termination(asking, patience)
        self._stops = False
        self._question: tuple[torch.Tensor, dist.Work | None] | None = None
        self._group: dist.ProcessGroup | None = None
        self._others: list[tuple[str, int]] = []
        self._batches_of_all = 0
        self._before_validation: dict[str, Any] = {}  # the generators

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            self._stops, self._question = False, None
            self._others = processes()
            if trainer.world_size > 1 and dist.get_backend() != "gloo":
                group = dist.new_group(backend="gloo", timeout=TIMEOUT)  # without a wait for the GPU
                self._group = group if isinstance(group, dist.ProcessGroup) else None
            self._termination.arm()

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._termination.install()  # in place of Lightning's, which is set after `setup`

    on_train_start = on_sanity_check_start

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._agree(trainer):
            self._stop(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._agree(trainer):
            self._stop(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._before_validation = states(pl_module.device)
        batches = torch.tensor(min(sum(trainer.num_val_batches), 2**31), dtype=torch.int64)
        if trainer.world_size > 1:
            dist.all_reduce(batches, dist.ReduceOp.MIN, group=self._group)
        self._batches_of_all = int(batches)  # as many as each rank has

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._batches_of_all -= 1
        if trainer.state.fn != "fit" or trainer.sanity_checking or self._batches_of_all < 0 or not self._agree(trainer):
            return
        # where averaged weights are validated, those of the run come back behind it
        if not any(isinstance(callback, WeightAveraging) for callback in getattr(trainer, "callbacks", [])):
            restore(self._before_validation, pl_module.device)
            self._stop(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if not self._stops:
            kill_stopped(self._others)
            self._termination.disarm()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._termination.disarm()

    def _agree(self, trainer: Trainer) -> bool:
        """Whether any rank was asked, as all of them know it: what is asked here is answered at the next call."""
        if trainer.world_size == 1:
            self._stops = self._termination.asked
        elif not self._stops:
            if self._question is not None:
                asked, work = self._question
                if work is not None:
                    work.wait()
                self._stops, self._question = bool(asked), None
            if not self._stops:
                asked = torch.tensor(self._termination.asked, dtype=torch.uint8)
                self._question = asked, dist.all_reduce(asked, dist.ReduceOp.MAX, group=self._group, async_op=True)
        return self._stops

    def _stop(self, trainer: Trainer) -> None:
        with self._termination.unhurried():
            keepers = [each for each in trainer.checkpoint_callbacks if isinstance(each, BestAndLast)]
            if keepers:
                keepers[0].write_last(trainer)
            elif folder := getattr(trainer.checkpoint_callback, "dirpath", None):
                trainer.save_checkpoint(Path(folder) / "last.ckpt")
        rank_zero_info(f"Asked to end: stopped after step {trainer.global_step}; --ckpt_path last goes on from there")
        # the launcher takes any other code of a child for a failure, and kills the main process, whose code counts
        raise SIGTERMException(0 if is_child() else EXIT_CODE)
