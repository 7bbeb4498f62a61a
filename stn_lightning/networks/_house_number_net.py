"""Network that reads house numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, prod

import torch
from torch import Tensor, nn

from stn_lightning.networks._staged import INPUT, Output, Shape, Staged, StageFactory, TransformerFactory

FILTERS = (48, 64, 128, 160, 192, 192, 192, 192)
POOLED = ("conv1", "conv3", "conv5", "conv7")
HIDDEN = (3072, 3072, 3072)
KERNEL = 5


class HouseNumberNet(Staged):
    """The 11-layer network of Jaderberg et al. 2015, appendix A.5, with no, one or many spatial transformers.

    ``conv1 - max - conv2 - conv3 - max - conv4 - conv5 - max - conv6 - conv7 - max - conv8 - fc1 - fc2 - fc3``: padded 5x5
    convolutions of 48, 64, 128, 160 and four times 192 filters, and layers of 3072 units, each followed by ReLU; then a linear
    classifier for each position: a digit, or null behind the end of the number. A pooling belongs to the stage before it: a
    transformer that follows ``conv1`` sees its pooled map. Weights start as in He et al. 2015: by PyTorch's own rule, signals
    would fade on their way through eleven layers. Of 54x54 images it has 28.69 million parameters, of 108x108 44.62.

    Args:
        input_shape: (C, H, W) of an image.
        num_classes: number of digits; null is one more class.
        max_length: number of positions.
        transformers: what makes the spatial transformer for a feature map (C, H, W), by the stage that it follows, ``conv1``
            to ``conv8``, or ``input``; none by default. The paper's ST-CNN Single has one at the input, ST-CNN Multi one
            before each of the first four convolutions.
        width: factor of the numbers of filters and units.
        dropout: probability of dropout after each layer but the first and the classifiers, in [0, 1).

    Attributes:
        placements: where a spatial transformer can stand.

    Raises:
        ValueError: for an unknown placement, an argument out of range, or an image too small for the stages.
    """

    placements = (INPUT, *(f"conv{i}" for i, _ in enumerate(FILTERS, 1)))

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int = 10,
        max_length: int = 5,
        transformers: Mapping[str, TransformerFactory] | None = None,
        width: float = 1.0,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(input_shape)
        transformers = transformers or {}
        if unknown := set(transformers) - set(self.placements):
            raise ValueError(f"expected placements among {', '.join(self.placements)}; got {', '.join(sorted(unknown))}")
        if min(num_classes, max_length) < 1 or not 0 < width < inf or not 0 <= dropout < 1:
            raise ValueError(
                f"expected num_classes and max_length of at least 1, width above 0, dropout in [0, 1); got {num_classes=}, "
                f"{max_length=}, {width=}, {dropout=}"
            )

        def scaled(number: int) -> int:
            return max(1, round(number * width))

        makers: dict[str, StageFactory] = {}
        for i, filters in enumerate(FILTERS, 1):
            makers[f"conv{i}"] = _convolution(scaled(filters), f"conv{i}" in POOLED, dropout if i > 1 else 0.0)
        for i, units in enumerate(HIDDEN, 1):
            makers[f"fc{i}"] = _fully_connected(scaled(units), dropout)
        self.stages, added, shape = self.assemble(makers, transformers)
        for parameter in self.stages.parameters():
            if parameter.ndim > 1:
                nn.init.kaiming_normal_(parameter, nonlinearity="relu")
            else:
                nn.init.zeros_(parameter)
        self.transformers = nn.ModuleDict(added)
        self.positions = (max_length, num_classes + 1)
        self.classifiers = nn.Linear(prod(shape), prod(self.positions))

    def forward(self, x: Tensor) -> Output:
        """Logits (B, max_length, num_classes + 1), the last class null, and warps.

        Args:
            x: (B, *input_shape) images.

        Raises:
            ValueError: if the images have another shape.
        """
        features, warps = self.features(x)
        return Output(self.classifiers(features).unflatten(1, self.positions), warps)


def _convolution(filters: int, pooled: bool, dropout: float) -> StageFactory:
    def make(shape: Shape) -> nn.Module:
        layers = [nn.Conv2d(shape[0], filters, KERNEL, padding=KERNEL // 2), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if pooled else []
        layers += [nn.Dropout(dropout)] if dropout else []
        return nn.Sequential(*layers).to(memory_format=torch.channels_last)

    return make


def _fully_connected(units: int, dropout: float) -> StageFactory:
    def make(shape: Shape) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(prod(shape), units), nn.ReLU(), nn.Dropout(dropout))

    return make
