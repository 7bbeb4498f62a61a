"""Tells sick spatial transformers from healthy ones while they train."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from stn_lightning.callbacks._health_reading import Head, Reading, head_of, measured, thinned
from stn_lightning.callbacks._health_symptoms import Course, Symptom, symptoms
from stn_lightning.callbacks._in_a_row import has_align_corners
from stn_lightning.callbacks._validation import ValidationCallback
from stn_lightning.localisations import Localisation
from stn_lightning.networks import Output
from stn_lightning.tasks import Task

TINY = 1e-30
CLEARED = 3  # measurements in a row without a symptom


class TransformerHealth(Callback):
    """Measures each spatial transformer in training, and says which one is sick, of what, and what helps.

    On each step that the trainer logs, and on the last of an epoch, it takes the ``Output`` that the module returns, finds
    every transformer in its ``warps``, and writes to TensorBoard ``health_NAME/outside``, ``area``, ``condition``, ``folds``,
    ``identity``, ``moved``, ``spread``, ``saturated`` and ``gradient`` (docs/health.md). On other steps it does nothing.

    A measure beyond its threshold is an alarm: one warning, and a text ``health_NAME/alarm``, that name the transformer, the
    symptom and the remedy; again only after the symptom has been away for three measurements. The measures are means over
    all processes, so all processes decide alike.

    Args:
        stop_on_collapse: whether training stops when a transformer has lost its image: when it is ``diverged``, ``outside``,
            ``shrunk`` or ``flattened``.
    """

    def __init__(self, stop_on_collapse: bool = False) -> None:
        self.stop_on_collapse = stop_on_collapse
        self._start: dict[str, Tensor] = {}
        self._frozen_until = 0
        self._hook: RemovableHandle | None = None
        self._forget()

    def _forget(self) -> None:
        self._unhook()
        self._heads: dict[str, Head | None] = {}
        self._parameters: dict[str | None, list[nn.Parameter]] = {}
        self._absent: dict[tuple[str, str], int] = {}  # measurements since a symptom was seen, of each alarm
        self._measured: dict[str, Tensor] = {}

    def _unhook(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def state_dict(self) -> dict[str, Any]:
        return {"start": self._start, "frozen_until": self._frozen_until}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._start, self._frozen_until = state_dict["start"], state_dict["frozen_until"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._forget()
        if not trainer.global_step:
            self._start, self._frozen_until = {}, 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        step, interval = trainer.global_step, getattr(trainer, "log_every_n_steps", 0)
        due = not step or (interval and (step + 1) % interval == 0) or trainer.is_last_batch
        if due and not self._measured:
            # of the module and not of its network, which may be compiled
            self._hook = pl_module.register_forward_hook(self._see)

    def _see(self, module: LightningModule, args: Any, output: Any) -> None:
        """Measures the first ``Output`` of a step: a penalty may ask for more."""
        if not isinstance(output, Output):
            return
        self._unhook()
        align_corners = has_align_corners(module)
        with torch.no_grad():
            for name, warped in output.warps.items():
                if name not in self._heads:
                    self._heads[name] = head_of(module, name)
                if not module.global_step:
                    self._start[name] = thinned(warped.grid, align_corners)[0].mean(0)
                self._measured[name] = measured(warped, align_corners, self._start.get(name), self._heads[name])

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        self._unhook()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._unhook()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        if not self._measured:
            return
        whole = _norm(self._parameters_of(pl_module, None)).clamp(min=TINY)
        rows = [
            torch.cat([row, (_norm(self._parameters_of(pl_module, name)) / whole).to(row)[None]])
            for name, row in self._measured.items()
        ]
        table: Any = trainer.strategy.reduce(torch.stack(rows), reduce_op="mean")
        readings = dict(zip(self._measured, (Reading(*row) for row in table.tolist()), strict=True))
        self._measured = {}
        if isinstance(pl_module, Task) and trainer.current_epoch < pl_module.frozen_epochs:
            self._frozen_until = trainer.global_step + 1
        course = Course(trainer.global_step - self._frozen_until, _steps(trainer))
        for name, reading in readings.items():
            for writer in ValidationCallback.writers(trainer):
                for measure, value in reading._asdict().items():
                    if value == value:
                        writer.add_scalar(f"health_{name}/{measure}", value, trainer.global_step)
            self._judge(trainer, name, reading, list(symptoms(reading, course)))

    def _parameters_of(self, module: LightningModule, name: str | None) -> list[nn.Parameter]:
        """Those of a transformer's localisation net, of all nets where it is unknown, or of the module; found once."""
        if name not in self._parameters:
            if name is None:
                found = list(module.parameters())
            elif (head := self._heads[name]) is not None:
                found = list(head.net.parameters())
            else:
                found = [p for net in module.modules() if isinstance(net, Localisation) for p in net.parameters()]
            self._parameters[name] = found
        return self._parameters[name]

    def _judge(self, trainer: Trainer, name: str, reading: Reading, found: list[Symptom]) -> None:
        for key in [key for key in self._absent if key[0] == name]:
            self._absent[key] += 1
            if self._absent[key] > CLEARED:
                del self._absent[key]
        for symptom in found:
            stops = self.stop_on_collapse and symptom.collapse
            trainer.should_stop = trainer.should_stop or stops
            if (name, symptom.name) not in self._absent:
                says = symptom.says.format(**reading._asdict())
                end = "; training stops" if stops else ""
                alarm = f"spatial transformer `{name}` is {symptom.name} at step {trainer.global_step}: {says}{end}"
                rank_zero_warn(f"{alarm}. Remedies: {symptom.remedy} (docs/health.md)", category=RuntimeWarning)
                for writer in ValidationCallback.writers(trainer):
                    writer.add_text(f"health_{name}/alarm", f"{alarm}. Remedies: {symptom.remedy}", trainer.global_step)
            self._absent[name, symptom.name] = 0


def _norm(parameters: list[nn.Parameter]) -> Tensor:
    """Norm of the gradient of those that train; not a number if none does."""
    training = [p for p in parameters if p.requires_grad]
    return get_total_norm([p.grad for p in training if p.grad is not None]) if training else torch.tensor(nan)


def _steps(trainer: Trainer) -> float:
    """Optimizer steps of the whole run; infinite if it has no end, or epochs of unknown length."""
    epochs = inf if trainer.max_epochs in (None, -1) else trainer.max_epochs
    steps = inf if trainer.max_steps == -1 else trainer.max_steps
    return min(steps, epochs * trainer.num_training_batches / trainer.accumulate_grad_batches)
