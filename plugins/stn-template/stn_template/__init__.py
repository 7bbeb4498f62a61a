"""Radial lens distortion for stn-lightning: ``--model.transform=radial``."""

from __future__ import annotations

import torch
from stn_lightning.transforms import Transform
from torch import Tensor

__all__ = ["Radial"]


class Radial(Transform):
    """Radial lens distortion: barrel or pincushion (Brown 1966, without the tangential terms).

    ``p' = p (1 + k1 r^2 + k2 r^4 + ...)`` with ``r = |p|``

    Convention:
        theta = (k1, k2, ...) maps normalised target to source points about the centre of the image; identity 0.

    Args:
        terms: number of coefficients k, at least 1.

    Raises:
        ValueError: if ``terms`` is below 1.
    """

    def __init__(self, terms: int = 2) -> None:
        super().__init__()
        if terms < 1:
            raise ValueError(f"expected terms of at least 1, got {terms}")
        self.num_params = terms

    def identity(self) -> Tensor:
        return torch.zeros(self.num_params)

    def points(self, theta: Tensor, xy: Tensor) -> Tensor:
        squared = xy.square().sum(dim=1)
        powers = torch.stack([squared**k for k in range(1, self.num_params + 1)])  # (terms, N)
        growth = (theta[:, :, None] * powers).sum(dim=1)  # (B, N)
        return xy * (1 + growth[:, :, None])
