"""Convolutional localisation net."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stn_lightning.localisations._localisation import Localisation, Regression

KERNEL = 5


class Convolutional(Localisation):
    """Two 5x5 convolutions, on a downsampled input: the localisation net of ST-CNN (Jaderberg et al. 2015, appendix A.4).

    ``average pooling - conv 5x5 - max pooling 2 - conv 5x5 - fc``, with ReLU, no padding.

    Args:
        input_shape: (C, H, W) of the feature map.
        initial: (K, P) thetas at the start.
        filters: filters of each convolution.
        units: units of the fully connected layer.
        downsample: factor of the average pooling at the input; 1 for none.

    Raises:
        ValueError: if the feature map is too small for the convolutions.
    """

    def __init__(
        self, input_shape: Sequence[int], initial: Tensor, filters: int = 20, units: int = 20, downsample: int = 2
    ) -> None:
        super().__init__(input_shape, initial)
        if min(filters, units, downsample) < 1:
            raise ValueError(f"expected filters, units and downsample above 0; got {filters=}, {units=}, {downsample=}")
        channels, *size = self.input_shape
        rest = [((n // downsample - KERNEL + 1) // 2 - KERNEL + 1) for n in size]
        if min(rest) < 1:
            needed = (2 * KERNEL + KERNEL - 1) * downsample
            raise ValueError(
                f"expected a feature map of at least {needed}x{needed} at downsample={downsample}, got {size[0]}x{size[1]}; "
                f"a smaller downsample or the localisation 'fc' takes smaller ones"
            )
        self.trunk = nn.Sequential(
            nn.AvgPool2d(downsample) if downsample > 1 else nn.Identity(),
            nn.Conv2d(channels, filters, KERNEL),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(filters, filters, KERNEL),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(filters * rest[0] * rest[1], units),
            nn.ReLU(),
        ).to(memory_format=torch.channels_last)
        self.head = Regression(units, initial)
