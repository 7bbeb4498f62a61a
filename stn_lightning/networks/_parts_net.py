"""Network that looks at several parts of an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from stn_lightning.backbones import SMALL, FeatureMap
from stn_lightning.localisations import Localisation
from stn_lightning.networks._staged import INPUT, Output
from stn_lightning.spatial_transformer import ParallelSpatialTransformers, Warped

ParallelFactory = Callable[[tuple[int, ...]], ParallelSpatialTransformers]


class AuxiliaryOutput(Output):
    """An output in training.

    Attributes:
        auxiliary: logits (B, num_classes) of the auxiliary classifier.
    """

    auxiliary: Tensor


class PartsNet(nn.Module):
    """Parallel spatial transformers on the image, a description of each part, and one classifier of them all.

    The ST-CNN of Jaderberg et al. 2015, section 4.3: each transformer cuts out a part; a network without its classifier
    describes it by its average-pooled last feature map; the descriptions are concatenated, thinned by dropout and
    classified. Without transformers it is the baseline: one description, of the whole image.

    Args:
        input_shape: (3, H, W) of an image.
        num_classes: number of classes.
        transformers: makes the transformers for images (3, H, W); None for the baseline.
        backbone: what describes a part: ``small``, ``tiny``, or a classifier of torchvision by its name.
        weights: name of torchvision's weights, or a file; None for random ones.
        shared: whether one network describes all parts, or each has its own.
        dropout: probability of dropout before the classifier, in [0, 1).
        auxiliary: whether the localisation net's feature map has an auxiliary classifier, and learns from it alone: the
            gradient of theta reaches what follows the map.

    Raises:
        ValueError: for an argument out of range, or images that do not fit.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int,
        transformers: ParallelFactory | None = None,
        backbone: str = SMALL,
        weights: str | None = None,
        shared: bool = False,
        dropout: float = 0.7,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"expected dropout in [0, 1), got {dropout}")
        self.input_shape = tuple(input_shape)
        self.transformers = None if transformers is None else transformers(self.input_shape)
        parts, shape = 1, self.input_shape
        if self.transformers is not None:
            parts = self.transformers.num_heads
            shape = (shape[0], *(self.transformers.output_size or shape[1:]))
        first = FeatureMap(backbone, weights)
        others = [] if shared else [FeatureMap(backbone, weights) for _ in range(parts - 1)]
        self.descriptions = nn.ModuleList([first, *others])
        channels = first.output_shape(shape)[0]
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(parts * channels, num_classes)
        self.auxiliary: nn.Module | None = None
        if auxiliary and self.transformers is not None:
            self.auxiliary = nn.Linear(_channels(_with_map(self.transformers)), num_classes)

    def forward(self, images: Tensor) -> Output:
        """Logits (B, num_classes), and the warps ``input.1``, ``input.2``, ..., each of which sees the image.

        In training with an auxiliary classifier it is an ``AuxiliaryOutput``.

        Args:
            images: (B, *input_shape).

        Raises:
            ValueError: if the images have another shape.
        """
        if tuple(images.shape[1:]) != self.input_shape:
            expected = ", ".join(map(str, self.input_shape))
            raise ValueError(f"{type(self).__name__}: expected images of shape (B, {expected}), got {tuple(images.shape)}")
        warps, auxiliary = self._warps(images)
        parts = [warp.output for warp in warps] or [images]
        nets = list(self.descriptions) * (len(parts) if len(self.descriptions) == 1 else 1)
        described = [net(part).mean((2, 3)) for net, part in zip(nets, parts, strict=True)]
        logits = self.classifier(self.dropout(torch.cat(described, dim=1)))
        named = {f"{INPUT}.{i}": warp for i, warp in enumerate(warps, 1)}
        if auxiliary is None:
            return Output(logits, named)
        output = AuxiliaryOutput(logits, named)
        output.auxiliary = auxiliary
        return output

    def _warps(self, images: Tensor) -> tuple[tuple[Warped, ...], Tensor | None]:
        """What the transformers cut out, and the auxiliary logits in training."""
        if self.transformers is None:
            return (), None
        if self.auxiliary is None or not self.training:
            return self.transformers(images), None
        localisation = _with_map(self.transformers)
        seen = localisation.see(images)
        thetas = localisation.point(seen.detach()).unbind(1)
        return tuple(self.transformers.warp(images, theta) for theta in thetas), self.auxiliary(seen.mean((2, 3)))


def _with_map(transformers: ParallelSpatialTransformers) -> Localisation:
    """The localisation net, which has a feature map."""
    localisation, *others = transformers.localisations
    if others or not isinstance(localisation, Localisation) or localisation.feature_map is None:
        raise ValueError(
            "expected one localisation net with a feature map, such as backbone or soft_argmax, for an auxiliary classifier; "
            f"got {', '.join(type(net).__name__ for net in transformers.localisations)}"
        )
    return localisation


def _channels(localisation: Localisation) -> int:
    """Of its feature map."""
    with torch.no_grad():
        seen = localisation.eval().see(torch.zeros(1, *localisation.input_shape))
    localisation.train()
    return seen.shape[1]
