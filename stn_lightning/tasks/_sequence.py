"""Recognition of sequences, such as house numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any, ClassVar, TypeVar

import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MeanMetric

from stn_lightning.data import Named
from stn_lightning.localisations import Convolutional, FullyConnected
from stn_lightning.networks import INPUT, HouseNumberNet, Output, SequenceNet
from stn_lightning.samplers import Sampler
from stn_lightning.tasks._numbers import as_text, read_numbers
from stn_lightning.tasks._sequence_metrics import Coverage, SequenceErrors
from stn_lightning.tasks._standardise import Standardise
from stn_lightning.tasks._task import Task, Verdict
from stn_lightning.tasks._transformers import LocalisationFactory, transformer_factory
from stn_lightning.transforms import Transform

T = TypeVar("T")
NetworkFactory = Callable[[tuple[int, ...], int, int, Any], HouseNumberNet | SequenceNet]
SINGLE = partial(Convolutional, filters=32, units=(32, 32), downsample=1, padding=2)
MULTI = partial(FullyConnected, units=(32, 32))


class SequenceRecognition(Task):
    """Recognition of sequences by a classifier for each position (Jaderberg et al. 2015, section 4.2).

    One transform, at the ``input``, is the paper's ST-CNN Single; ``placements: [input, conv1, conv2, conv3]`` its ST-CNN
    Multi. With ``per_position`` and ``SequenceNet`` the net looks at one position after the other (Sonderby et al. 2015).

    Logs under ``train/``, ``val/`` and ``test/``: ``loss``, the sum of the positions' cross-entropies; ``error``, the share of
    sequences that are not right in every position; and of evaluation ``error_positions``, the share of positions that are not
    right, ``error_position_1`` and so on, ``error_length_1`` and so on, and ``coverage_98``, the largest share of images, the
    most confident first, of which 98 % are right.

    Images in [0, 1] are standardised by the mean and standard deviation of each channel, which the data module has as
    ``statistics`` and the checkpoint keeps.

    Args:
        input_shape: (C, H, W) of an image; the CLI takes it from the data.
        num_classes: number of symbols, without the null behind the end; the CLI takes it from the data.
        max_length: largest length of a sequence; the CLI takes it from the data.
        network: makes the network of (input_shape, num_classes, max_length, transformers); None for ``HouseNumberNet``.
        transform: transform of all spatial transformers, by registry name or class path, or a mapping from placements to
            that of each; None for a network without.
        placements: where spatial transformers stand: ``input``, or the stage that one follows, ``conv1`` to ``conv8``; None
            for the keys of ``transform`` where it is a mapping, else the input alone.
        localisation: makes the localisation net of (input_shape, initial); None for the paper's: two convolutions and two
            layers of 32 units for a transformer at the input alone, else the two layers.
        localisations: a mapping from placements to what makes the localisation net of those that have another.
        sampler: sampler of all, or a mapping from placements; None for ``bilinear``.
        initial: theta at the start, or one number, the scale of a central window, of all, or a mapping from placements; None
            for ``transform.initial()``, the identity unless the transform says otherwise.
        output_size: (H', W') of the warped feature map, of all, or a mapping from placements; None for that of its input.
        align_corners: whether -1 and 1 are the centres of the corner pixels, or their outer edges (False).
        per_position: whether a transformer has a window for each position, all of one localisation net: ``recurrent`` gives
            one after the other, any other net all at once. ``SequenceNet`` reads each on its own.
        **kwargs: those of ``Task``; the usual ``localisation_lr_scale`` is 0.1, as in the paper.

    Raises:
        ValueError: for parts that do not fit together, or a spatial transformer's argument without a transform.
    """

    usual_lr_scale: ClassVar[float] = 0.1

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        max_length: int,
        network: NetworkFactory | None = None,
        transform: Transform | dict[str, Transform] | None = None,
        placements: list[str] | None = None,
        localisation: LocalisationFactory | None = None,
        localisations: dict[str, LocalisationFactory] | None = None,
        sampler: Sampler | dict[str, Sampler] | None = None,
        initial: float | list[float] | dict[str, float | list[float]] | None = None,
        output_size: tuple[int, int] | dict[str, tuple[int, int]] | None = None,
        align_corners: bool = False,
        per_position: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if max_length is None:
            raise ValueError("expected data of sequences, which have a max_length: give --data=HouseNumbers")
        parts = {"sampler": sampler, "initial": initial, "output_size": output_size, "localisations": localisations}
        given = {"placements": placements, "localisation": localisation, "align_corners": align_corners or None, **parts}
        given["per_position"] = per_position or None
        if transform is None and (idle := [name for name, value in given.items() if value is not None]):
            raise ValueError(f"expected a transform with {', '.join(idle)}, got none: give --model.transform or null them")
        places = [] if transform is None else _places(transform, placements)
        usual = localisation if localisation is not None else SINGLE if places == [INPUT] else MULTI
        transformers = {}
        for place in places:
            part: dict[str, Any] = {name: _at(place, value, places, name) for name, value in parts.items()}
            part["localisation"] = part.pop("localisations") or usual
            part["transform"] = _at(place, transform, places, "transform")
            windows = max_length if per_position else 1
            transformers[place] = transformer_factory(**part, align_corners=align_corners, windows=windows)
        build = network if network is not None else HouseNumberNet
        self.network = build(tuple(input_shape), num_classes, max_length, transformers)
        self.null, self.max_length = num_classes, max_length
        self.standardise = Standardise(input_shape[0])
        self.metrics = nn.ModuleDict({stage: _metrics(max_length, num_classes) for stage in ("val", "test")})

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit":  # a checkpoint that is resumed brings its own
            self.standardise.take_from(getattr(self.trainer, "datamodule", None))

    def forward(self, images: Tensor) -> Output:
        """Prediction (B, max_length, num_classes + 1) and warps of images (B, C, H, W) in [0, 1]."""
        output: Output = self.network(self.standardise(images.to(self.dtype)))
        return output

    def loss(self, output: Output, target: Tensor) -> Tensor:
        return self._losses(output, target).mean()

    def _losses(self, output: Output, target: Tensor) -> Tensor:
        if target.shape != output.prediction.shape[:2]:
            raise ValueError(
                f"expected targets of shape {tuple(output.prediction.shape[:2])}, got {tuple(target.shape)}: is max_length "
                f"of the data that of the model?"
            )
        return F.cross_entropy(output.prediction.transpose(1, 2), target, reduction="none").sum(1)

    def judge(self, output: Output, target: Tensor) -> Verdict:
        predicted, _ = read_numbers(output.prediction)
        right = (predicted == target).all(1)
        losses = self._losses(Output(output.prediction.float(), {}), target)
        return Verdict(losses, right, as_text(target, self.null), as_text(predicted, self.null))

    def log_training(self, loss: Tensor, output: Output, target: Tensor) -> None:
        super().log_training(loss, output, target)
        predicted, _ = read_numbers(output.prediction)
        self.log("train/error", (predicted != target).any(1).float().mean())

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Output]:
        return self._evaluate(batch, self.metrics["val"])

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> dict[str, Output]:
        return self._evaluate(batch, self.metrics["test"])

    def _evaluate(self, batch: tuple[Tensor, Tensor], metrics: Any) -> dict[str, Output]:
        images, target = batch
        output: Output = self(images)
        predicted, confidence = read_numbers(output.prediction)
        metrics["loss"].update(self.loss(output, target), weight=len(target))
        metrics["errors"].update(predicted, target)
        metrics["coverage"].update(confidence, (predicted == target).all(1))
        return {"output": output}

    def on_validation_epoch_end(self) -> None:
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        self._log_metrics("test")

    def _log_metrics(self, stage: str) -> None:
        metrics: Any = self.metrics[stage]
        errors: dict[str, Tensor] = metrics["errors"].compute()
        self.log(f"{stage}/error", errors.pop("error"), prog_bar=True, sync_dist=True)
        values = {"loss": metrics["loss"].compute(), "coverage_98": metrics["coverage"].compute(), **errors}
        # computed over all processes, hence the same on each: their mean changes nothing
        self.log_dict({f"{stage}/{name}": value.float() for name, value in values.items()}, sync_dist=True)
        for metric in metrics.values():
            metric.reset()

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Number and its probability (B,) of a batch of images, with the names of their files where they have some."""
        images = batch if isinstance(batch, Tensor) else batch[0]
        numbers, confidence = read_numbers(self(images).prediction)
        named = {"file": batch.name} if isinstance(batch, Named) else {}
        return {**named, "number": as_text(numbers, self.null), "confidence": confidence}


def _metrics(max_length: int, null: int) -> nn.ModuleDict:
    return nn.ModuleDict({"loss": MeanMetric(), "errors": SequenceErrors(max_length, null), "coverage": Coverage(0.98)})


def _places(transform: Transform | dict[str, Transform], placements: list[str] | None) -> list[str]:
    """Where transformers stand."""
    if transform == {}:
        raise ValueError("expected transform of at least one placement, or none at all; got {}")
    if placements is not None:
        if not placements or len({*placements}) < len(placements):
            raise ValueError(f"expected placements, each once; got {placements}")
        return placements
    return list(transform) if isinstance(transform, Mapping) else [INPUT]


def _at(place: str, value: T | Mapping[str, T] | None, places: list[str], name: str) -> T | None:
    """The part at a placement: its own copy, where one is meant for all."""
    if not isinstance(value, Mapping):
        return deepcopy(value)
    if stray := set(value) - set(places):
        raise ValueError(f"expected {name} for {', '.join(places)}; got one for {', '.join(sorted(stray))}")
    if name == "transform" and place not in value:
        raise ValueError(f"expected a transform for each of {', '.join(places)}; got none for {place}")
    return value.get(place)
