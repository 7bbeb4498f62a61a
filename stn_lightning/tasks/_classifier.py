"""What the tasks share that give each image one class."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric

from stn_lightning.data import Named
from stn_lightning.networks import Output
from stn_lightning.tasks._metrics import ErrorRate
from stn_lightning.tasks._task import Task, Verdict

CLASS_NAMES = "class_names"  # of a data module, and of a checkpoint


class Classifier(Task, ABC):
    """A task whose network gives each image one class. A subclass sets ``network``.

    Where the data module of training has ``class_names``, the checkpoint keeps them: what is predicted is said by name, and
    data of other classes are refused.

    Args:
        num_classes: number of classes.
        label_smoothing: label smoothing of the cross-entropy, in [0, 1).
        **kwargs: those of ``Task``.

    Raises:
        ValueError: for a label smoothing out of range; for a checkpoint of other classes than those of the data.
    """

    def __init__(self, num_classes: int, label_smoothing: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"expected label_smoothing in [0, 1), got {label_smoothing}")
        self.criterion = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
        self.val_error, self.test_error = ErrorRate(num_classes), ErrorRate(num_classes)
        self.val_loss, self.test_loss = MeanMetric(), MeanMetric()
        self.class_names: list[str] | None = None

    def setup(self, stage: str) -> None:
        super().setup(stage)
        names = None
        if stage != "predict":
            names = getattr(getattr(self.trainer, "datamodule", None), CLASS_NAMES, None)
        if stage == "fit" or self.class_names is None:
            self.class_names = names
        else:
            _check_same(names, self.class_names)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        if self.class_names is not None:
            checkpoint[CLASS_NAMES] = self.class_names

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        kept = checkpoint.get(CLASS_NAMES)
        _check_same(self.class_names, kept)
        self.class_names = kept or self.class_names

    def loss(self, output: Output, target: Tensor) -> Tensor:
        if target.ndim != 1:
            raise ValueError(
                f"expected targets (B,), got {tuple(target.shape)}: sequences are for --model=SequenceRecognition"
            )
        loss: Tensor = self.criterion(output.prediction, target)
        return loss

    def judge(self, output: Output, target: Tensor) -> Verdict:
        logits = output.prediction.float()
        predicted = logits.argmax(1)
        losses = F.cross_entropy(logits, target, reduction="none")
        return Verdict(losses, predicted == target, self._named(target), self._named(predicted))

    def log_training(self, loss: Tensor, output: Output, target: Tensor) -> None:
        super().log_training(loss, output, target)
        self.log("train/error", (output.prediction.argmax(1) != target).float().mean())

    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> dict[str, Output]:
        return self._evaluate(batch, self.val_error, self.val_loss)

    def test_step(self, batch: Sequence[Tensor], batch_idx: int) -> dict[str, Output]:
        return self._evaluate(batch, self.test_error, self.test_loss)

    def _evaluate(self, batch: Sequence[Tensor], error: ErrorRate, loss: MeanMetric) -> dict[str, Output]:
        images, target = batch[:2]
        output: Output = self(images)
        loss.update(self.loss(output, target), weight=len(target))
        error.update(output.prediction, target)
        return {"output": output}

    def on_validation_epoch_end(self) -> None:
        self.log("val/loss", self.val_loss)
        self.log("val/error", self.val_error, prog_bar=True)

    def on_test_epoch_end(self) -> None:
        self.log("test/loss", self.test_loss)
        self.log("test/error", self.test_error, prog_bar=True)

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """``class`` and its probability ``confidence`` (B,) of a batch of images, with ``file`` where they have names.

        The classes are numbers (B,), or a list of names where the task knows them.
        """
        images = batch if isinstance(batch, Tensor) else batch[0]
        confidence, label = self(images).prediction.softmax(1).max(1)
        named = {"file": batch.name} if isinstance(batch, Named) else {}
        return {**named, "class": label if self.class_names is None else self._named(label), "confidence": confidence}

    def _named(self, labels: Tensor) -> list[str]:
        return [str(i) if self.class_names is None else self.class_names[i] for i in labels.tolist()]


def _check_same(data: Sequence[str] | None, checkpoint: Sequence[str] | None) -> None:
    if data is None or checkpoint is None or list(data) == list(checkpoint):
        return
    for i, (found, kept) in enumerate(zip_longest(data, checkpoint)):
        if found != kept:
            raise ValueError(f"expected data of the checkpoint's classes; class {i} is {found!r} in the data, was {kept!r}")
