"""Images of mean zero and deviation one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """Subtracts a mean from each channel and divides by a standard deviation; both are kept with the weights.

    Args:
        channels: C; the mean is 0 and the deviation 1 until they are set.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("std", torch.ones(channels, 1, 1))

    def take_from(self, data: Any) -> None:
        """Sets mean and deviation (C,) from the ``statistics`` of a data module that has some."""
        for buffer, values in zip((self.mean, self.std), getattr(data, "statistics", ()), strict=False):
            buffer.copy_(torch.as_tensor(values).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) standardised."""
        return (images - self.mean) / self.std
