"""Random homographies of the alignment literature."""

from __future__ import annotations

import torch
from torch import Tensor

from stn_lightning.distortions._distortion import MatrixDistortion, Size
from stn_lightning.distortions._perspective import adjugate, homography


class RandomHomography(MatrixDistortion):
    """The image seen through a quadrangle whose corners are off by normal distances (Lin & Lucey 2017).

    Each corner of the target looks at the corner of the image, moved in x and y by a distance of its own and by one that all
    corners share: the drawn homography maps target to source, where that of ``RandomPerspective`` maps source to target.

    Convention:
        Distances are in units in which -1 and 1 are the centres of the corner pixels, as in the authors' code.

    Args:
        std: standard deviation of the move of each corner, at least 0.
        shift: standard deviation of the move of all corners, at least 0.
    """

    affine = False

    def __init__(self, std: float = 0.25, shift: float = 0.25) -> None:
        super().__init__()
        if not (std >= 0 and shift >= 0):
            raise ValueError(f"expected std and shift of at least 0, got {std=}, {shift=}")
        self.std, self.shift = std, shift

    def extend(self, matrix: Tensor, source: Size, target: Size, generator: torch.Generator | None) -> Tensor:
        signs = torch.tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]], device=matrix.device, dtype=matrix.dtype)
        unit = matrix.new_tensor([(target[1] - 1) / 2, (target[0] - 1) / 2])
        own, common = (
            torch.randn((len(matrix), count, 2), generator=generator, device=matrix.device, dtype=matrix.dtype)
            for count in (4, 1)
        )
        moved = unit * (signs + self.std * own + self.shift * common)
        step = matrix @ homography(moved) @ adjugate(homography(unit * signs[None]))
        return step / step[:, 2:, 2:]
