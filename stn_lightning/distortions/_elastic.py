"""Elastic distortion by a thin plate spline."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from stn_lightning.distortions._distortion import Distortion, MatrixDistortion, matrix_of, normalised
from stn_lightning.samplers import Bilinear
from stn_lightning.transforms import ThinPlateSpline


class RandomElastic(Distortion):
    """The thin plate spline that moves each point of a regular lattice by a normal distance in x and y.

    It may fold the image: "destructive and can not be inverted in some cases", as the paper says of its set E.

    Args:
        std: standard deviation of the move of a control point, in pixels, at least 0.
        grid_size: control points per side.
    """

    def __init__(self, std: float = 1.5, grid_size: int = 4) -> None:
        super().__init__()
        if not std >= 0:
            raise ValueError(f"expected std of at least 0 pixels, got {std}")
        self.std = std
        self.transform = ThinPlateSpline(grid_size)
        self.sampler = Bilinear()

    def distort(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        return self.after([], images, generator)

    def after(self, chain: Sequence[MatrixDistortion], images: Tensor, generator: torch.Generator | None) -> Tensor:
        """A chain of affine distortions and then this, sampled once: the chain moves the spline's source points."""
        matrix, target = matrix_of(chain, images, generator)
        lattice = self.transform.identity().to(matrix).view(1, -1, 2)
        std = matrix.new_tensor([2 * self.std / target[1], 2 * self.std / target[0]])
        moves = torch.randn((len(matrix), lattice.shape[1], 2), generator=generator, device=matrix.device, dtype=matrix.dtype)
        to_source = normalised(matrix, (images.shape[-2], images.shape[-1]), target)
        linear, shift = to_source[:, :2, :2].transpose(1, 2), to_source[:, None, :2, 2]
        theta = torch.baddbmm(shift, torch.addcmul(lattice, moves, std), linear).flatten(1)
        warped: Tensor = self.sampler(images, self.transform.grid(theta, target))
        return warped
