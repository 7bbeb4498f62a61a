"""Network that reads a sequence of symbols, each from a window of its own or all from one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import torch
from torch import Tensor, nn

from stn_lightning.networks._staged import INPUT, Output, Shape, Staged, StageFactory, TransformerFactory

KERNEL = 3


class SequenceNet(Staged):
    """The classifiers of Sonderby et al. 2015 (arXiv 1509.05329), by what transforms their input.

    ``conv1 - max - conv2 - max - conv3 - fc``: 3x3 convolutions without padding, with 2x2 pooling between them, each layer
    followed by ReLU. With parallel transformers, one window a position, the same layers read every window, and a linear
    classifier tells its symbol (RNN-SPN: 32 filters a layer). With one transformer (FFN-SPN: 96 filters a layer), or none
    (CNN), they read the one picture, and there is a linear classifier for each position.

    Filters, units and initial weights (Glorot & Bengio 2010) are those of the authors' code; it has no CNN: that is ours. Ours
    is also the last class, null, which stands behind the end of a sequence, as ``SequenceRecognition`` reads sequences of any
    length: of data whose sequences all have one length, the net learns that it never occurs.

    Args:
        input_shape: (C, H, W) of an image.
        num_classes: number of symbols; null is one more class.
        max_length: number of positions.
        transformers: what makes the spatial transformers for images (C, H, W), as a mapping from ``input``; they have one
            window, or one for each position. None by default.
        filters: filters of each convolution.
        units: units of the fully connected layer.

    Attributes:
        placements: where a spatial transformer can stand.

    Raises:
        ValueError: for an unknown placement, another number of windows, an argument out of range, or an image or window too
            small for the stages.
    """

    placements = (INPUT,)

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int = 10,
        max_length: int = 3,
        transformers: Mapping[str, TransformerFactory] | None = None,
        filters: Sequence[int] = (32, 32, 32),
        units: int = 400,
    ) -> None:
        super().__init__(input_shape)
        transformers = transformers or {}
        if unknown := set(transformers) - set(self.placements):
            raise ValueError(f"expected placements among {', '.join(self.placements)}; got {', '.join(sorted(unknown))}")
        if not filters or min(num_classes, max_length, units, *filters) < 1:
            raise ValueError(
                f"expected num_classes, max_length, filters and units of at least 1; got {num_classes=}, {max_length=}, "
                f"{filters=}, {units=}"
            )
        makers: dict[str, StageFactory] = {"apart": self._apart}
        for i, number in enumerate(filters, 1):
            makers[f"conv{i}"] = _convolution(number, i < len(filters))
        makers["fc"] = lambda shape: nn.Sequential(nn.Flatten(), nn.Linear(prod(shape), units), nn.ReLU())
        self.stages, added, shape = self.assemble(makers, transformers)
        windows = added[INPUT].num_heads if added else 1
        if windows not in (1, max_length):
            raise ValueError(f"expected transformers with one window or {max_length}, one for each position; got {windows}")
        self.transformers = nn.ModuleDict(added)
        self.positions = (max_length, num_classes + 1)
        self.classifiers = nn.Linear(prod(shape), prod(self.positions) // windows)
        for module in self.stages.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                _initialise(module)
        _initialise(self.classifiers)

    def _apart(self, shape: Shape) -> nn.Module:
        """Windows, which lie side by side in the channels, to images of their own in the batch."""
        channels = self.input_shape[0]
        return nn.Sequential(nn.Unflatten(1, (shape[0] // channels, channels)), nn.Flatten(0, 1))

    def forward(self, x: Tensor) -> Output:
        """Logits (B, max_length, num_classes + 1), the last class null, and warps.

        Args:
            x: (B, *input_shape) images.

        Raises:
            ValueError: if the images have another shape.
        """
        features, warps = self.features(x)
        return Output(self.classifiers(features).view(-1, *self.positions), warps)


def _convolution(filters: int, pooled: bool) -> StageFactory:
    def make(shape: Shape) -> nn.Module:
        layers = [nn.Conv2d(shape[0], filters, KERNEL), nn.ReLU(), *([nn.MaxPool2d(2)] if pooled else [])]
        return nn.Sequential(*layers).to(memory_format=torch.channels_last)

    return make


def _initialise(layer: nn.Conv2d | nn.Linear) -> None:
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
