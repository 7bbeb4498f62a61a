"""Classification by the parts that parallel spatial transformers find."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy

from stn_lightning.backbones import SMALL
from stn_lightning.localisations import Backbone
from stn_lightning.networks import AuxiliaryOutput, Output, PartsNet
from stn_lightning.penalties import Outside, Overlap
from stn_lightning.samplers import Bilinear, Sampler
from stn_lightning.spatial_transformer import ParallelSpatialTransformers
from stn_lightning.tasks._classifier import Classifier
from stn_lightning.tasks._part_metrics import PartCoverage
from stn_lightning.tasks._standardise import Standardise
from stn_lightning.tasks._transformers import LocalisationFactory
from stn_lightning.tasks._windows import tiling
from stn_lightning.transforms import Transform, Translation

TOP = 5


class PartsClassification(Classifier):
    """Fine-grained classification by parallel spatial transformers (Jaderberg et al. 2015, section 4.3).

    Each of ``num_parts`` transformers cuts a window out of the image; ``num_parts=0`` is the baseline that sees the whole
    image. By default a window has half the image's height and width, and only its place is learnt (``translation`` with
    ``scale: 0.5``). All windows come from one localisation net, which sees the image at the resolution of a part, and tile the
    image at the start.

    Logs ``loss`` and ``error`` (share of wrong predictions) under ``train/``, ``val/`` and ``test/``, ``error_top5`` in
    evaluation; and where the data have parts, ``covered_PART``, the share of images in which a window covers the part, by any
    and by each window, and ``box_iou_by_K``, how well the K-th window fits the box around the object.

    Images in [0, 1] are standardised by the ``statistics`` of the data module, which the checkpoint keeps.

    Args:
        input_shape: (3, H, W) of an image; the CLI takes it from the data.
        num_classes: number of classes; the CLI takes it from the data.
        num_parts: number of transformers; 0 for the baseline.
        transform: transform of the windows, by registry name or class path; None for ``translation`` of scale ``window``.
        window: side of a window relative to the image at the start, in (0, 1].
        part_size: side of a part in pixels, as it is described; None for ``window`` times the image's.
        localisation: makes the localisation net of (input_shape, initial); None for ``backbone``, with the same classifier as
            the descriptions, on the image downsampled to about ``part_size``.
        sampler: sampler; None for ``bilinear``.
        initial: thetas at the start, one for each part; None for windows that tile the image.
        align_corners: whether -1 and 1 are the centres of the corner pixels, or their outer edges (False).
        backbone: what describes a part: ``small``, ``tiny``, or a classifier of torchvision by its name (``googlenet``: the
            paper's).
        weights: name of torchvision's weights, such as ``DEFAULT``, or a file; None for random ones.
        shared: whether one network describes all parts, or each has its own.
        dropout: probability of dropout before the classifier, in [0, 1).
        outside_penalty: weight of the penalty ``Outside``: without it, a window that left the image may never return.
        overlap_penalty: weight of the penalty ``Overlap``, so that windows look at different parts.
        localisation_loss: weight of the loss of an auxiliary classifier on the localisation net's feature map. Above 0 the map
            learns from that loss alone, and what points the windows reads it: the gradient of theta, which is mostly noise
            while descriptions say little, does not reach the map.
        **kwargs: those of ``Classifier`` and ``Task``; the usual ``localisation_lr_scale`` is 0.1. (The paper's is 0.0001, for
            networks that know ImageNet and a learning rate of 0.1.)

    Raises:
        ValueError: for parts that do not fit together, or an argument out of range.
    """

    usual_lr_scale: ClassVar[float] = 0.1

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        num_parts: int = 2,
        transform: Transform | None = None,
        window: float = 0.5,
        part_size: int | None = None,
        localisation: LocalisationFactory | None = None,
        sampler: Sampler | None = None,
        initial: list[list[float]] | None = None,
        align_corners: bool = False,
        backbone: str = SMALL,
        weights: str | None = None,
        shared: bool = False,
        dropout: float = 0.7,
        outside_penalty: float = 1.0,
        overlap_penalty: float = 0.0,
        localisation_loss: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, **kwargs)
        least = {
            "num_parts": num_parts,
            "outside_penalty": outside_penalty,
            "overlap_penalty": overlap_penalty,
            "localisation_loss": localisation_loss,
        }
        for name, value in least.items():
            if not value >= 0:
                raise ValueError(f"expected {name} of at least 0, got {value}")
        if not 0 < window <= 1:
            raise ValueError(f"expected window in (0, 1], got {window}")
        shape = tuple(input_shape)
        size = round(window * min(shape[1:])) if part_size is None else part_size
        if size < 1:
            raise ValueError(f"expected part_size (or window of the image's side) of at least 1 pixel, got {size}")
        transformers = None
        if num_parts:
            used = transform if transform is not None else Translation(scale=window)
            start = _thetas(used, num_parts, window, initial)
            usual = partial(Backbone, backbone=backbone, weights=weights, downsample=max(1, min(shape[1:]) // size))
            localise = localisation if localisation is not None else usual

            def transformers(shape: tuple[int, ...]) -> ParallelSpatialTransformers:
                net = localise(shape, start)
                cut = sampler if sampler is not None else Bilinear()
                return ParallelSpatialTransformers(net, used, cut, (size, size), align_corners)

        auxiliary = localisation_loss > 0
        self.network = PartsNet(shape, num_classes, transformers, backbone, weights, shared, dropout, auxiliary)
        self.localisation_loss = localisation_loss
        self.standardise = Standardise(shape[0])
        self.num_parts = num_parts
        asked = [(Outside, outside_penalty), (Overlap, overlap_penalty)]
        self.penalties.extend(kind(weight) for kind, weight in asked if weight)
        top = min(TOP, num_classes)
        self.val_top, self.test_top = (MulticlassAccuracy(num_classes, top_k=top, average="micro") for _ in range(2))
        self.coverage: PartCoverage | None = None

    def setup(self, stage: str) -> None:
        super().setup(stage)
        data: Any = getattr(self.trainer, "datamodule", None)
        if stage == "fit":  # a checkpoint that is resumed brings its own
            self.standardise.take_from(data)
        if self.num_parts and getattr(data, "part_names", None):
            self.coverage = PartCoverage(data.part_names, self.num_parts)

    def forward(self, images: Tensor) -> Output:
        """Logits (B, num_classes) and warps of images (B, 3, H, W) in [0, 1]."""
        output: Output = self.network(self.standardise(images.to(self.dtype)))
        return output

    def loss(self, output: Output, target: Tensor) -> Tensor:
        loss = super().loss(output, target)
        if not isinstance(output, AuxiliaryOutput):
            return loss
        return loss + self.localisation_loss * super().loss(Output(output.auxiliary, {}), target)

    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> dict[str, Output]:
        return self._evaluate_parts(super().validation_step(batch, batch_idx), batch, self.val_top)

    def test_step(self, batch: Sequence[Tensor], batch_idx: int) -> dict[str, Output]:
        return self._evaluate_parts(super().test_step(batch, batch_idx), batch, self.test_top)

    def _evaluate_parts(self, step: dict[str, Output], batch: Sequence[Tensor], top: MulticlassAccuracy) -> dict[str, Output]:
        output = step["output"]
        top.update(output.prediction, batch[1])
        if self.coverage is not None and len(batch) == 4:
            self.coverage.update(list(output.warps.values()), batch[2], batch[3])
        return step

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self._log_parts("val", self.val_top)

    def on_test_epoch_end(self) -> None:
        super().on_test_epoch_end()
        self._log_parts("test", self.test_top)

    def _log_parts(self, stage: str, top: MulticlassAccuracy) -> None:
        values = {"error_top5": 1 - top.compute()}
        top.reset()
        if self.coverage is not None:
            values |= self.coverage.compute()
            self.coverage.reset()
        # computed over all processes, hence the same on each: their mean changes nothing
        self.log_dict({f"{stage}/{name}": value.float() for name, value in values.items()}, sync_dist=True)


def _thetas(transform: Transform, parts: int, window: float, initial: list[list[float]] | None) -> Tensor:
    """Thetas (K, P) at the start."""
    if initial is None:
        return tiling(transform, parts, window)
    if len(initial) != parts or {len(theta) for theta in initial} != {transform.num_params}:
        raise ValueError(f"expected initial with {parts} thetas of {transform.num_params} numbers, got {initial}")
    return torch.tensor(initial, dtype=torch.float32)
