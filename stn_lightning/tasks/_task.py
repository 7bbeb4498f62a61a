"""What the tasks share: optimisation, hyper-parameters, and a loop that logs no more than is written."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, ClassVar, Literal, NamedTuple, Self

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from torch import Tensor
from torch.optim import Optimizer

from stn_lightning.checkpoints import read_checkpoint
from stn_lightning.component import Recorded, class_of, class_path, init_args
from stn_lightning.localisations import Localisation
from stn_lightning.networks import Output
from stn_lightning.penalties import Penalty
from stn_lightning.tasks._load import load_task, method_of_class
from stn_lightning.tasks._nonfinite import LossWatch, check_weights
from stn_lightning.tasks._optimizer_state import check_state

# LightningModule.load_from_checkpoint trusts this one; that of a task needs none
INSTANTIATOR = "lightning.pytorch.cli.instantiate_module"
MONITORED = "monitored"  # of a checkpoint


class Verdict(NamedTuple):
    """What became of each image of a batch.

    Attributes:
        loss: (B,) its loss.
        right: (B,) whether the prediction is right.
        target: what it shows, in words.
        predicted: what the network makes of it, in words.
    """

    loss: Tensor
    right: Tensor
    target: list[str]
    predicted: list[str]


class Task(Recorded, LightningModule, ABC):
    """A LightningModule around a plain network that returns an ``Output``.

    Its hyper-parameters are plain data, so that checkpoints load under ``weights_only=True``. A subclass sets ``network`` and
    gives ``loss`` and ``judge``.

    Args:
        optimizer: makes the optimizer of parameter groups; None for Adam with learning rate 0.001.
        scheduler: makes the learning-rate scheduler of the optimizer; None for a constant rate. One that has a
            ``total_steps`` of None is given the number of steps that the trainer will take.
        scheduler_interval: whether the scheduler counts ``step`` or ``epoch``.
        localisation_lr_scale: learning rate of the localisation nets relative to the rest, at least 0; None for what is usual
            for the task.
        frozen_epochs: epochs at the beginning in which the localisation nets stay as they are.
        theta_clip: the largest gradient of theta that an image sends to a localisation net, relative to the median of its
            batch, above 0; None for any. One image in which a warp is near singular then leaves the others their say.
        penalties: terms of the training loss for what the spatial transformers do, see ``stn_lightning.penalties``.
        compile: whether the network is compiled by ``torch.compile``.

    Attributes:
        monitor: the metric by which the best checkpoint is chosen: the lowest wins.
        usual_lr_scale: ``localisation_lr_scale`` where None is given.

    Raises:
        ValueError: for a negative ``localisation_lr_scale`` or ``frozen_epochs``, or a ``theta_clip`` that is not above 0.
    """

    monitor: ClassVar[str] = "val/error"
    usual_lr_scale: ClassVar[float] = 1.0
    network: torch.nn.Module

    def __init__(
        self,
        optimizer: OptimizerCallable | None = None,
        scheduler: LRSchedulerCallable | None = None,
        scheduler_interval: Literal["step", "epoch"] = "step",
        localisation_lr_scale: float | None = None,
        frozen_epochs: int = 0,
        theta_clip: float | None = None,
        penalties: list[Penalty] | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        if localisation_lr_scale is not None and not localisation_lr_scale >= 0:
            raise ValueError(f"expected localisation_lr_scale of at least 0, got {localisation_lr_scale}")
        if frozen_epochs < 0:
            raise ValueError(f"expected frozen_epochs of at least 0, got {frozen_epochs}")
        if theta_clip is not None and not theta_clip > 0:
            raise ValueError(f"expected theta_clip above 0, got {theta_clip}")
        self.save_hyperparameters({"_class_path": class_path(type(self)), "_instantiator": INSTANTIATOR, **init_args(self)})
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.scheduler_interval = scheduler_interval
        self.localisation_lr_scale = self.usual_lr_scale if localisation_lr_scale is None else localisation_lr_scale
        self.frozen_epochs = frozen_epochs
        self.theta_clip = theta_clip
        self.penalties = torch.nn.ModuleList(penalties or ())
        self.compile_network = compile
        self._watch = LossWatch()
        self._monitored: Tensor | None = None  # by a ReduceLROnPlateau, in the validation before a checkpoint

    @method_of_class
    def load_from_checkpoint(
        cls,
        checkpoint_path: str | Path | IO[bytes],
        map_location: Any = None,
        hparams_file: str | Path | None = None,
        strict: bool | None = None,
        weights_only: bool | None = True,
        **kwargs: Any,
    ) -> Self:
        """The task of a checkpoint, built without running code of the file, or importing a module that is not open.

        Args:
            checkpoint_path: a local file, or an open one.
            map_location: device of the weights; None for where they were, or the CPU where there is no accelerator.
            hparams_file: None: the hyper-parameters are those of the checkpoint.
            strict: whether the weights must be exactly those of the task; None for what the task says.
            weights_only: True: a checkpoint of a task is plain data.
            **kwargs: arguments of the task that replace those of the checkpoint.

        Raises:
            FileNotFoundError: if the file is missing.
            ValueError: for a file that is damaged, more than plain data, or has weights that are not finite; for a class that
                is no part of a task, or of a module neither imported yet nor open (docs/security.md).
        """
        if hparams_file is not None or weights_only is False:
            raise ValueError(
                f"expected hparams_file=None and weights_only=True: a checkpoint of a task holds its hyper-parameters, and "
                f"nothing but plain data; got {hparams_file=}, {weights_only=}"
            )
        if map_location is None and not torch.accelerator.is_available():
            map_location = "cpu"
        return load_task(cls, read_checkpoint(checkpoint_path, map_location), strict, kwargs)

    @abstractmethod
    def loss(self, output: Output, target: Tensor) -> Tensor:
        """The scalar loss of a batch."""

    @abstractmethod
    def judge(self, output: Output, target: Tensor) -> Verdict:
        """What became of each image of a batch; callbacks show it."""

    def forward(self, images: Tensor) -> Output:
        """Prediction and warps of images (B, C, H, W)."""
        output: Output = self.network(images.to(self.dtype))
        return output

    def setup(self, stage: str) -> None:
        for net in self._localisations():
            net.theta_clip = self.theta_clip
        if self.compile_network:
            self.network.compile()  # in place: the keys of state_dict stay

    def penalty(self, output: Output, images: Tensor) -> Tensor | float:
        """What is added to the training loss for what the warps are like; at least 0."""
        penalties: list[Tensor] = [penalty(output, images, self) for penalty in self.penalties]
        return sum(penalties)

    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        images, target = batch[:2]
        output = self(images)
        loss = self.loss(output, target) + self.penalty(output, images)
        self._watch.update(loss, self.global_step)
        interval: int = getattr(self.trainer, "log_every_n_steps", 0)
        if interval and (self.global_step + 1) % interval == 0:  # each self.log costs 0.35 ms, written or not
            self._check_finite()
            self.log_training(loss, output, target)
        return loss

    def log_training(self, loss: Tensor, output: Output, target: Tensor) -> None:
        """Logs a training step; called only on steps that the logger writes."""
        self.log("train/loss", loss)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        if self.current_epoch < self.frozen_epochs:
            for parameter in self._localisation_parameters():
                parameter.grad = None  # optimizers pass over it, their momenta and weight decay too

    def on_train_epoch_end(self) -> None:
        self._check_finite()
        scheduler = self.lr_schedulers()
        if isinstance(scheduler, ReduceLROnPlateau) and self.trainer.is_last_batch:
            value = self.trainer.callback_metrics.get(scheduler.monitor, self._monitored)
            if value is None:
                raise ValueError(
                    f"expected a metric that is logged as monitor of ReduceLROnPlateau, got {scheduler.monitor!r}; "
                    f"there are {', '.join(sorted(self.trainer.callback_metrics))}"
                )
            scheduler.step(value)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Leaves ReduceLROnPlateau to the end of the epoch.

        Lightning steps it behind the checkpoint of the epoch, and in one that a resumed run goes on with not at all.
        """
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def on_validation_start(self) -> None:
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            self._check_finite()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._check_finite()
        check_weights(checkpoint["state_dict"], self.global_step)
        for config in self.trainer.lr_scheduler_configs:
            if config.monitor in self.trainer.callback_metrics:
                checkpoint[MONITORED] = self.trainer.callback_metrics[config.monitor]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._monitored = checkpoint.get(MONITORED)

    def on_train_start(self) -> None:
        for optimizer in self.trainer.optimizers:
            check_state(optimizer)

    def _check_finite(self) -> None:
        optimizers = self.trainer.optimizers
        self._watch.check(optimizers[0].param_groups[0]["lr"] if optimizers else float("nan"))

    def configure_optimizers(self) -> Any:
        optimizer = self._make_optimizer()
        if self.scheduler is None:
            return optimizer
        scheduler = self.scheduler(optimizer, **self._scheduler_arguments(optimizer, self.scheduler))
        config: dict[str, Any] = {"scheduler": scheduler, "interval": self.scheduler_interval}
        if isinstance(scheduler, ReduceLROnPlateau):
            config |= {"interval": "epoch", "monitor": scheduler.monitor}
        return {"optimizer": optimizer, "lr_scheduler": config}

    def _scheduler_arguments(self, optimizer: Optimizer, factory: LRSchedulerCallable) -> dict[str, Any]:
        """What a scheduler is told beside its own arguments: how many steps there are, and the rates of each group."""
        given = getattr(factory, "keywords", {})
        arguments: dict[str, Any] = {}
        takes_total = "total_steps" in inspect.signature(class_of(factory) or factory).parameters
        if takes_total and given.get("total_steps") is None and given.get("epochs") is None:
            arguments["total_steps"] = int(self.trainer.estimated_stepping_batches)
        for name in ("max_lr", "base_lr"):  # OneCycleLR and CyclicLR set the rates of all groups anew
            if isinstance(given.get(name), float | int):
                arguments[name] = [given[name] * self._lr_scale(group) for group in optimizer.param_groups]
        return arguments

    def _lr_scale(self, group: dict[str, Any]) -> float:
        return self.localisation_lr_scale if group["name"] == "localisation" else 1.0

    def _localisations(self) -> Iterator[Localisation]:
        return (module for module in self.modules() if isinstance(module, Localisation))

    def _localisation_parameters(self) -> set[torch.nn.Parameter]:
        return {parameter for net in self._localisations() for parameter in net.parameters()}

    def _make_optimizer(self) -> Optimizer:
        slow = self._localisation_parameters()
        groups = [
            {"name": "network", "params": [p for p in self.parameters() if p not in slow]},
            {"name": "localisation", "params": [p for p in self.parameters() if p in slow]},
        ]
        groups = [group for group in groups if group["params"]]
        optimizer = torch.optim.Adam(groups, lr=1e-3) if self.optimizer is None else self.optimizer(groups)
        for group in optimizer.param_groups:
            group["lr"] *= self._lr_scale(group)
        return optimizer
