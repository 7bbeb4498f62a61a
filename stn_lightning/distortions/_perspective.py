"""Projective distortion by moving the corners."""

from __future__ import annotations

import torch
from torch import Tensor

from stn_lightning.distortions._distortion import MatrixDistortion, Size


class RandomPerspective(MatrixDistortion):
    """The projective warp that moves each corner of the image by a normal distance in x and y.

    Args:
        std: standard deviation of the move of a corner, in pixels, at least 0.
    """

    affine = False

    def __init__(self, std: float = 5.0) -> None:
        super().__init__()
        if not std >= 0:
            raise ValueError(f"expected std of at least 0 pixels, got {std}")
        self.std = std

    def extend(self, matrix: Tensor, source: Size, target: Size, generator: torch.Generator | None) -> Tensor:
        height, width = target
        signs = torch.tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]], device=matrix.device, dtype=matrix.dtype)
        corners = signs * matrix.new_tensor([width / 2, height / 2])
        moves = torch.randn((len(matrix), 4, 2), generator=generator, device=matrix.device, dtype=matrix.dtype)
        step = homography(corners[None]) @ adjugate(homography(corners + self.std * moves))
        step = matrix @ step
        return step / step[:, 2:, 2:]


def homography(corners: Tensor) -> Tensor:
    """The projective maps (B, 3, 3) that take the unit square to four corners (B, 4, 2) (Heckbert 1989, section 2.2.3)."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = (corner.unbind(-1) for corner in corners.unbind(-2))
    dx1, dx2, dx3 = x1 - x2, x3 - x2, x0 - x1 + x2 - x3
    dy1, dy2, dy3 = y1 - y2, y3 - y2, y0 - y1 + y2 - y3
    scale = dx1 * dy2 - dx2 * dy1
    g, h = (dx3 * dy2 - dx2 * dy3) / scale, (dx1 * dy3 - dx3 * dy1) / scale
    rows = [x1 - x0 + g * x1, x3 - x0 + h * x3, x0, y1 - y0 + g * y1, y3 - y0 + h * y3, y0, g, h, torch.ones_like(g)]
    return torch.stack(rows, dim=-1).view(-1, 3, 3)


def adjugate(matrix: Tensor) -> Tensor:
    """The inverses of matrices (B, 3, 3), up to scale."""
    a, b, c = matrix.unbind(1)
    return torch.stack([torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)], dim=2)
