"""Convolutional localisation net."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from stn_lightning.localisations._localisation import Localisation, Regression

KERNEL = 5


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
            needed = (lost + 2 * (1 + lost)) * downsample
            raise ValueError(
                f"expected a feature map of at least {needed}x{needed} at downsample={downsample}, got {size[0]}x{size[1]}; "
                f"a smaller downsample or the localisation 'fc' takes smaller ones"
            )
        sizes = [filters * rest[0] * rest[1], *layers]

        def norm() -> list[nn.Module]:
            return [nn.BatchNorm2d(filters)] if batch_norm else []

        self.trunk = nn.Sequential(
            nn.AvgPool2d(downsample) if downsample > 1 else nn.Identity(),
            nn.Conv2d(channels, filters, KERNEL, padding=padding),
            *norm(),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(filters, filters, KERNEL, padding=padding),
            *norm(),
            nn.ReLU(),
            nn.Flatten(),
            *(layer for i, o in pairwise(sizes) for layer in (nn.Linear(i, o), nn.ReLU())),
        ).to(memory_format=torch.channels_last)
        self.head = Regression(sizes[-1], initial)
