"""Classification of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric

from stn_lightning import localisations
from stn_lightning.component import class_of
from stn_lightning.networks import CNN, Network, Output
from stn_lightning.samplers import Sampler
from stn_lightning.tasks._metrics import ErrorRate
from stn_lightning.tasks._task import Task, Verdict
from stn_lightning.tasks._transformers import LocalisationFactory, transformer_factory
from stn_lightning.transforms import Transform

NetworkFactory = Callable[[tuple[int, ...], int, Any], Network]


class Classification(Task):
    """Classification by a network with or without a spatial transformer (Jaderberg et al. 2015, section 4.1).

    Logs ``loss`` and ``error`` (share of wrong predictions) under ``train/``, ``val/`` and ``test/``.

    Args:
        input_shape: (C, H, W) of an image; the CLI takes it from the data.
        num_classes: number of classes; the CLI takes it from the data.
        network: makes the network of (input_shape, num_classes, transformer); None for ``CNN``.
        transform: transform of the spatial transformer, by registry name or class path; None for a network without.
        localisation: makes the localisation net of (input_shape, initial); None for the paper's with this network:
            ``conv`` with CNN, ``fc`` with FCN.
        sampler: sampler of the spatial transformer; None for ``bilinear``.
        initial: theta at the start; None for ``transform.initial()``, the identity unless the transform says otherwise.
        output_size: (H', W') of the warped feature map; None for that of the input.
        align_corners: whether -1 and 1 are the centres of the corner pixels, or their outer edges (False).
        label_smoothing: label smoothing of the cross-entropy, in [0, 1).
        **kwargs: those of ``Task``.

    Raises:
        ValueError: for parts that do not fit together, or a spatial transformer's argument without a transform.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        network: NetworkFactory | None = None,
        transform: Transform | None = None,
        localisation: LocalisationFactory | None = None,
        sampler: Sampler | None = None,
        initial: list[float] | None = None,
        output_size: tuple[int, int] | None = None,
        align_corners: bool = False,
        label_smoothing: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"expected label_smoothing in [0, 1), got {label_smoothing}")
        parts = {"localisation": localisation, "sampler": sampler, "initial": initial, "output_size": output_size}
        idle = [name for name, part in parts.items() if part is not None] + ["align_corners"] * align_corners
        if transform is None and idle:
            raise ValueError(f"expected a transform with {', '.join(idle)}, got none: give --model.transform")
        build = network if network is not None else CNN
        transformer = None
        if transform is not None:
            localise = localisation if localisation is not None else _usual_localisation(build)
            transformer = transformer_factory(transform, localise, sampler, initial, output_size, align_corners)
        self.network = build(tuple(input_shape), num_classes, transformer)
        self.criterion = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
        self.val_error, self.test_error = ErrorRate(num_classes), ErrorRate(num_classes)
        self.val_loss, self.test_loss = MeanMetric(), MeanMetric()

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
        return Verdict(losses, predicted == target, [str(i) for i in target.tolist()], [str(i) for i in predicted.tolist()])

    def log_training(self, loss: Tensor, output: Output, target: Tensor) -> None:
        super().log_training(loss, output, target)
        self.log("train/error", (output.prediction.argmax(1) != target).float().mean())

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Output]:
        return self._evaluate(batch, self.val_error, self.val_loss)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Output]:
        return self._evaluate(batch, self.test_error, self.test_loss)

    def _evaluate(self, batch: tuple[Tensor, Tensor], error: ErrorRate, loss: MeanMetric) -> dict[str, Output]:
        images, target = batch
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

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        """Class (B,) and its probability (B,) of a batch of images, or of images and targets."""
        images = batch[0] if isinstance(batch, Sequence) else batch
        confidence, label = self(images).prediction.softmax(1).max(1)
        return {"class": label, "confidence": confidence}


def _usual_localisation(network: Any) -> LocalisationFactory:
    cls = class_of(network)
    name = cls.localisation if cls is not None and issubclass(cls, Network) else CNN.localisation
    return localisations.registry[name]
