"""Convolutional localisation nets of signals and volumes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from stn_lightning.localisations._localisation import Localisation, Regression

KERNEL = 5


class _AveragePool3d(nn.AvgPool3d):
    """In float32 at least: on a CPU torch has none in bfloat16."""

    def forward(self, input: Tensor) -> Tensor:
        dtype = torch.promote_types(input.dtype, torch.float32)
        return super().forward(input.to(dtype)).to(input.dtype)


LAYERS = {1: (nn.AvgPool1d, nn.Conv1d, nn.MaxPool1d), 3: (_AveragePool3d, nn.Conv3d, nn.MaxPool3d)}


class _Convolutional(Localisation):
    """The net ``conv`` in another dimension: average pooling, conv 5, max pooling 2, conv 5, fully connected."""

    def __init__(
        self,
        input_shape: Sequence[int],
        initial: Tensor,
        filters: int = 20,
        units: int | Sequence[int] = 20,
        downsample: int = 2,
    ) -> None:
        super().__init__(input_shape, initial)
        layers = [units] if isinstance(units, int) else list(units)
        if min(filters, downsample, *layers) < 1 or not layers:
            raise ValueError(f"expected filters, units and downsample above 0; got {filters=}, {units=}, {downsample=}")
        channels, *size = self.input_shape
        rest = [(n // downsample - KERNEL + 1) // 2 - KERNEL + 1 for n in size]
        if min(rest) < 1:
            needed = (2 * KERNEL + KERNEL - 1) * downsample
            raise ValueError(
                f"{type(self).__name__}: expected a feature map of at least {needed} a side at {downsample=}, got {size}"
            )
        average, convolution, largest = LAYERS[self.ndim]
        sizes = [filters * prod(rest), *layers]
        self.trunk = nn.Sequential(
            average(downsample) if downsample > 1 else nn.Identity(),
            convolution(channels, filters, KERNEL),
            nn.ReLU(),
            largest(2),
            convolution(filters, filters, KERNEL),
            nn.ReLU(),
            nn.Flatten(),
            *(layer for i, o in pairwise(sizes) for layer in (nn.Linear(i, o), nn.ReLU())),
        )
        self.head = Regression(sizes[-1], initial)


class Convolutional1d(_Convolutional):
    """The localisation net ``conv`` on signals: convolutions of 5 samples.

    ``average pooling - conv 5 - max pooling 2 - conv 5 - fc``

    Args:
        input_shape: (C, L) of the feature map.
        initial: (K, P) thetas at the start.
        filters: filters of each convolution.
        units: units of the fully connected layer, or of each of several.
        downsample: factor of the average pooling at the input; 1 for none.

    Raises:
        ValueError: if an argument is out of range, or the feature map too small for the convolutions.
    """

    ndim = 1


class Convolutional3d(_Convolutional):
    """The localisation net ``conv`` on volumes: convolutions of 5x5x5 voxels.

    ``average pooling - conv 5x5x5 - max pooling 2 - conv 5x5x5 - fc``. The paper does not say which net its volumes have.

    Args:
        input_shape: (C, D, H, W) of the feature map.
        initial: (K, P) thetas at the start.
        filters: filters of each convolution.
        units: units of the fully connected layer, or of each of several.
        downsample: factor of the average pooling at the input; 1 for none.

    Raises:
        ValueError: if an argument is out of range, or the feature map too small for the convolutions.
    """

    ndim = 3
