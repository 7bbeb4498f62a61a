"""Localisation net of one convolution."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from stn_lightning.localisations._localisation import Localisation, Regression

KERNEL = 9


class ShallowConvolutional(Localisation):
    """A 9x9 convolution and fully connected layers, with ReLU: ``conv 9x9 - max pooling 2 - fc - fc``.

    The localisation net of co-localisation (Jaderberg et al. 2015, appendix A.2), which the paper describes by numbers that
    do not agree: eight filters with a stride of 4 pixels and two layers of 8 units have 5,947 parameters on an image of
    84x84, not 100,000. With 4 pixels of padding, and stride 1, they have 113,659. That is the default, as we take
    "stride" for a slip; ``stride=4, padding=0`` is the net as printed.

    Args:
        input_shape: (C, H, W) of the feature map.
        initial: (K, P) thetas at the start.
        filters: filters of the convolution.
        stride: pixels from one place of the convolution to the next.
        padding: pixels of zeros around the input.
        units: units of each fully connected layer.

    Raises:
        ValueError: if an argument is out of range, or the feature map too small for the convolution.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        initial: Tensor,
        filters: int = 8,
        stride: int = 1,
        padding: int = 4,
        units: Sequence[int] = (8, 8),
    ) -> None:
        super().__init__(input_shape, initial)
        if not units or min(filters, stride, *units) < 1 or padding < 0:
            raise ValueError(
                f"expected filters, stride and units above 0, padding of at least 0; got {filters=}, {stride=}, {padding=}, "
                f"{units=}"
            )
        channels, *size = self.input_shape
        height, width = (((n + 2 * padding - KERNEL) // stride + 1) // 2 for n in size)
        if min(height, width) < 1:
            needed = KERNEL + stride - 2 * padding
            raise ValueError(f"expected a feature map of at least {needed}x{needed}, got {size[0]}x{size[1]}")
        sizes = [filters * height * width, *units]
        self.trunk = nn.Sequential(
            nn.Conv2d(channels, filters, KERNEL, stride, padding),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            *(layer for i, o in pairwise(sizes) for layer in (nn.Linear(i, o), nn.ReLU())),
        )
        self.head = Regression(sizes[-1], initial)
