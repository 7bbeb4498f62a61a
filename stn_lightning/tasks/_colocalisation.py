"""Co-localisation: what the images of a set have in common is found, and nobody says where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric

from stn_lightning.data import Named
from stn_lightning.data._distorted_digits import SIDE, scaled
from stn_lightning.localisations import ShallowConvolutional
from stn_lightning.networks import CNN, CoLocaliser, Output
from stn_lightning.samplers import Sampler
from stn_lightning.tasks._encoder import read_encoder, train_encoder
from stn_lightning.tasks._task import Task, Verdict
from stn_lightning.tasks._transformers import LocalisationFactory, transformer_factory
from stn_lightning.tasks._windows import iou, rectangles
from stn_lightning.transforms import Attention, Transform

RIGHT = 0.5  # intersection over union
UNIT_OF = 1000  # labelled digits


class CoLocalisation(Task):
    """Finds the object that all images of a set show, without being told where it is (Jaderberg et al. 2015, appendix A.2).

    A spatial transformer cuts a window out of each image, such that a frozen encoder says the same of the windows of two
    images, and something else of a random window of the same image. With codes e, windows ``T``, random windows ``r`` and all
    pairs n != m of a batch, the loss is the mean of ``max(0, |e(T_n) - e(T_m)|^2 - |e(T_n) - e(r_n)|^2 + margin)``.

    The encoder is the CNN of section 4.1 without transformer: its code is the outputs of both stages and the logits. The task
    trains it when a ``fit`` begins, on the ``labelled`` digits of the data, or reads it from a checkpoint, and keeps it.

    A code has thousands of numbers, beside which the paper's margin of 1 is nothing: by the formula as printed, empty windows,
    which are all alike, cost least. So two choices are ours. The unit of squared distances is their mean between labelled
    digits: of windows on a digit those of its size then cost least. And in the first ``direction_steps`` each code has length
    1: that draws windows to the digits from afar, but not to their size.

    Logs ``loss`` under ``train/``, ``val/`` and ``test/``, and in evaluation ``correct``, the share of images whose
    window has an intersection over union with the box of above 0.5, and ``iou``, its mean. The best checkpoint is that of the
    lowest ``val/loss``, which looks at no box. A training batch is (images, random windows), one of evaluation (images, boxes,
    random windows), as ``DigitScenes`` has them.

    Args:
        input_shape: (C, H, W) of an image; the CLI takes it from the data.
        num_classes: classes of the encoder; the CLI takes it from the data.
        encoder: checkpoint of ``Classification`` with CNN on 28x28 digits, such as ``configs/experiment/undistorted_cnn.yaml``
            makes; None to train one.
        encoder_epochs: passes over the labelled digits where one is trained, at least 1.
        transform: transform of the windows, by registry name or class path; None for ``attention``.
        localisation: makes the localisation net of (input_shape, initial); None for the paper's, ``shallow``.
        sampler: sampler; None for ``bilinear``.
        initial: theta at the start, or one number, the scale of a central window; None for ``transform.initial()``, of
            ``attention`` the whole image.
        margin: the paper's alpha, above 0.
        direction_steps: training steps at the beginning in which only the direction of a code counts, at least 0.
        **kwargs: those of ``Task``.

    Raises:
        ValueError: for an argument out of range; as a fit begins, for a file that is no encoder, or data without labelled
            digits.
        FileNotFoundError: as a fit begins, if the encoder's checkpoint is missing.
    """

    monitor: ClassVar[str] = "val/loss"
    network: CoLocaliser
    encoder_ready: Tensor
    unit: Tensor

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        encoder: str | None = None,
        encoder_epochs: int = 3,
        transform: Transform | None = None,
        localisation: LocalisationFactory | None = None,
        sampler: Sampler | None = None,
        initial: float | list[float] | None = None,
        margin: float = 1.0,
        direction_steps: int = 400,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if encoder_epochs < 1 or not margin > 0 or direction_steps < 0:
            raise ValueError(
                f"expected encoder_epochs of at least 1, margin above 0 and direction_steps of at least 0; got "
                f"{encoder_epochs=}, {margin=}, {direction_steps=}"
            )
        shape, size = tuple(input_shape), (SIDE, SIDE)
        used = transform if transform is not None else Attention()
        localise = localisation if localisation is not None else ShallowConvolutional
        transformer = transformer_factory(used, localise, sampler, initial, size)
        self.network = CoLocaliser(shape, transformer, CNN((shape[0], *size), num_classes))
        self.num_classes, self.margin, self.direction_steps = num_classes, margin, direction_steps
        self.encoder_file, self.encoder_epochs = encoder, encoder_epochs
        self.register_buffer("encoder_ready", torch.tensor(False))
        self.register_buffer("unit", torch.tensor(1.0))
        names = [f"{stage}_{name}" for stage in ("val", "test") for name in ("loss", "correct", "iou")]
        self.metrics = nn.ModuleDict({name: MeanMetric() for name in names})

    def on_fit_start(self) -> None:
        if self.encoder_ready:  # a checkpoint brought it along
            return
        labelled = getattr(getattr(self.trainer, "datamodule", None), "labelled", None)
        if labelled is None:
            raise ValueError("expected data with labelled digits for the encoder, such as DigitScenes, got none")
        encoder = self.network.encoder
        if self.encoder_file is not None:
            read_encoder(encoder, self.encoder_file)
        else:
            self.trainer.print(f"encoder: trained on {len(labelled.targets):,} digits, {self.encoder_epochs} times")
            train_encoder(encoder, labelled.images, labelled.targets, self.encoder_epochs)
        encoder.load_state_dict(self.trainer.strategy.broadcast(encoder.state_dict()))
        with torch.no_grad():
            codes = self.network.encode(scaled(labelled.images[:UNIT_OF]).to(self.device).to(self.dtype))
        self.unit.fill_(2 * codes.float().var(0).sum())  # the mean squared distance of two
        self.encoder_ready.fill_(True)

    def loss(self, output: Output, target: Tensor) -> Tensor:
        """The loss of all pairs of a batch.

        Args:
            output: codes of what the transformer sees.
            target: (B, C, 28, 28) a random window of each image.
        """
        codes, random = output.prediction.float(), self.network.encode(target.to(self.dtype)).float()
        if self.training and self.global_step < self.direction_steps:
            codes, random = F.normalize(codes), F.normalize(random)
        else:
            codes, random = codes / self.unit.sqrt(), random / self.unit.sqrt()
        between = torch.cdist(codes, codes, compute_mode="donot_use_mm_for_euclid_dist").square()
        excess = (between - (codes - random).square().sum(1, keepdim=True) + self.margin).relu()
        others = len(codes) * (len(codes) - 1)
        return (excess.sum() - excess.diagonal().sum()) / max(1, others)

    def judge(self, output: Output, target: Tensor) -> Verdict:
        """How the windows of a batch fit the boxes (B, 4); as its loss an image has 1 less the intersection over union."""
        found = self._windows(output)
        fit = iou(found, target)
        return Verdict(1 - fit, fit > RIGHT, self._in_words(target), self._in_words(found))

    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> dict[str, Output]:
        return self._evaluate(batch, "val")

    def test_step(self, batch: Sequence[Tensor], batch_idx: int) -> dict[str, Output]:
        return self._evaluate(batch, "test")

    def _evaluate(self, batch: Sequence[Tensor], stage: str) -> dict[str, Output]:
        images, boxes, elsewhere = batch
        output = self(images)
        verdict = self.judge(output, boxes)
        values = {"loss": self.loss(output, elsewhere), "correct": verdict.right.float(), "iou": 1 - verdict.loss}
        for name, value in values.items():
            metric: Any = self.metrics[f"{stage}_{name}"]
            metric.update(value, weight=len(images) / value.numel())
            self.log(f"{stage}/{name}", metric, prog_bar=name == "correct")
        return {"output": output}

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """``left``, ``top``, ``right`` and ``bottom`` (B,) of the window in each of a batch of images, in pixels.

        And ``confidence``, the encoder's highest probability of a class of what is in the window; with ``file`` where the
        images have names.
        """
        output = self(batch if isinstance(batch, Tensor) else batch[0])
        edges = self._in_pixels(self._windows(output)).unbind(1)
        confidence = output.prediction[:, -self.num_classes :].softmax(1).amax(1)
        named = {"file": batch.name} if isinstance(batch, Named) else {}
        return {**named, **dict(zip(("left", "top", "right", "bottom"), edges, strict=True)), "confidence": confidence}

    def _windows(self, output: Output) -> Tensor:
        (warped,) = output.warps.values()
        return rectangles(self.network.transformer.transform, warped.theta)

    def _in_pixels(self, boxes: Tensor) -> Tensor:
        height, width = self.network.input_shape[-2:]
        return (boxes + 1) / 2 * boxes.new_tensor([width, height, width, height])

    def _in_words(self, boxes: Tensor) -> list[str]:
        edges = self._in_pixels(boxes).tolist()
        return [f"{left:.0f},{top:.0f} {right - left:.0f}x{bottom - top:.0f}" for left, top, right, bottom in edges]
