"""Penalty for parallel windows that coincide."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import sqrt

import torch
from torch import Tensor

from stn_lightning.networks import Output
from stn_lightning.penalties._penalty import Penalty


class Overlap(Penalty):
    """The mean share by which two windows of parallel transformers coincide, so that they look at different parts.

    Args:
        weight: factor of the cost, at least 0.
    """

    def cost(self, output: Output, images: Tensor, network: Callable[[Tensor], Output]) -> Tensor:
        pairs = combinations([warp.grid for warp in output.warps.values()], 2)
        shares = [overlap(*pair).mean() for pair in pairs]
        return torch.stack(shares).mean() if shares else output.prediction.new_zeros(())


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """Share (B,) by which two windows coincide: 1 at the same centre, 0 from a window's side apart.

    Args:
        first: (B, *size, ndim) normalised source points.
        second: (B, *size, ndim).
    """
    first, second = first.flatten(1, -2), second.flatten(1, -2)
    distance = torch.linalg.vector_norm(first.mean(1) - second.mean(1), dim=1)
    side = torch.linalg.vector_norm(first.amax(1) - first.amin(1), dim=1) / sqrt(first.shape[-1])
    share: Tensor = (1 - distance / side.detach().clamp(min=1e-6)).relu()
    return share
