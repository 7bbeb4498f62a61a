"""Convolutional localisation net."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stn_lightning.localisations._localisation import Localisation, Regression

KERNEL = 5


class Layers(NamedTuple):
    """Those of one dimension."""

    average: Callable[[int], nn.Module]
    convolution: Callable[..., nn.Module]
    norm: Callable[[int], nn.Module]
    largest: Callable[[int], nn.Module]


class AveragePool3d(nn.AvgPool3d):
    """In float32 at least: on a CPU torch has none in bfloat16."""

    def forward(self, input: Tensor) -> Tensor:
        dtype = torch.promote_types(input.dtype, torch.float32)
        return super().forward(input.to(dtype)).to(input.dtype)


LAYERS = {
    1: Layers(nn.AvgPool1d, nn.Conv1d, nn.BatchNorm1d, nn.MaxPool1d),
    2: Layers(nn.AvgPool2d, nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d),
    3: Layers(AveragePool3d, nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d),
}


class Convolutional(Localisation):
    """Two 5x5 convolutions and fully connected layers, with ReLU.

    ``average pooling - conv 5x5 - max pooling 2 - conv 5x5 - fc``. By default the localisation net of ST-CNN (Jaderberg et al.
    2015, appendix A.4); that of ST-CNN Single on house numbers (appendix A.5) has ``filters=32, units=[32, 32], downsample=1,
    padding=2``.

    Args:
        input_shape: (C, H, W) of the feature map.
        initial: (K, P) thetas at the start.
        filters: filters of each convolution.
        units: units of the fully connected layer, or of each of several.
        downsample: factor of the average pooling at the input; 1 for none.
        padding: pixels of zeros around the input of each convolution.
        batch_norm: whether a batch normalisation follows each convolution; the paper has none.

    Raises:
        ValueError: if an argument is out of range, or the feature map too small for the convolutions.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        initial: Tensor,
        filters: int = 20,
        units: int | Sequence[int] = 20,
        downsample: int = 2,
        padding: int = 0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__(input_shape, initial)
        layers = [units] if isinstance(units, int) else list(units)
        if min(filters, downsample, *layers) < 1 or padding < 0 or not layers:
            raise ValueError(
                f"expected filters, units and downsample above 0, padding of at least 0; got {filters=}, {units=}, "
                f"{downsample=}, {padding=}"
            )
        channels, *size = self.input_shape
        lost = KERNEL - 1 - 2 * padding
        rest = [(n // downsample - lost) // 2 - lost for n in size]
        if min(rest) < 1:
            needed = "x".join([str((lost + 2 * (1 + lost)) * downsample)] * self.ndim)
            other = " or the localisation 'fc' takes" if self.ndim == 2 else " takes"
            raise ValueError(
                f"{type(self).__name__}: expected a feature map of at least {needed} at downsample={downsample}, got "
                f"{'x'.join(map(str, size))}; a smaller downsample{other} smaller ones"
            )
        sizes = [filters * prod(rest), *layers]
        average, convolution, norm, largest = LAYERS[self.ndim]
        trunk = [average(downsample) if downsample > 1 else nn.Identity()]
        for inputs, after in ((channels, [largest(2)]), (filters, [nn.Flatten()])):
            norms = [norm(filters)] if batch_norm else []
            trunk += [convolution(inputs, filters, KERNEL, padding=padding), *norms, nn.ReLU(), *after]
        for inputs, outputs in pairwise(sizes):
            trunk += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.trunk = nn.Sequential(*trunk)
        if self.ndim == 2:  # faster on a CPU
            self.trunk.to(memory_format=torch.channels_last)
        self.head = Regression(sizes[-1], initial)
