"""The contract of a penalty."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from stn_lightning.component import Component
from stn_lightning.networks import Output


class Penalty(Component, ABC):
    """A term of the training loss for what the spatial transformers of a network do. A subclass gives ``cost``.

    Args:
        weight: factor of the cost, at least 0.

    Raises:
        ValueError: for a negative weight.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        if not weight >= 0:
            raise ValueError(f"{type(self).__name__}: expected weight of at least 0, got {weight}")
        self.weight = weight

    def forward(self, output: Output, images: Tensor, network: Callable[[Tensor], Output]) -> Tensor:
        """The weighted cost of a batch, a scalar.

        Args:
            output: what the network made of the images.
            images: (B, C, H, W), as the network takes them.
            network: what makes an output of images.
        """
        return self.weight * self.cost(output, images, network)

    @abstractmethod
    def cost(self, output: Output, images: Tensor, network: Callable[[Tensor], Output]) -> Tensor:
        """``forward`` without the weight."""


class GridPenalty(Penalty):
    """A penalty on each sampling grid by itself: the mean over samples and spatial transformers. A subclass gives ``of_grid``.

    Args:
        weight: factor of the cost, at least 0.
    """

    def cost(self, output: Output, images: Tensor, network: Callable[[Tensor], Output]) -> Tensor:
        costs = [self.of_grid(warp.grid).mean() for warp in output.warps.values()]
        return torch.stack(costs).mean() if costs else output.prediction.new_zeros(())

    @abstractmethod
    def of_grid(self, grid: Tensor) -> Tensor:
        """The cost (B,) of grids (B, H, W, 2)."""
