"""The contract of a distortion, and distortions that are a matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from stn_lightning.component import Component
from stn_lightning.samplers import Bilinear
from stn_lightning.transforms import Affine, Projective

Size = tuple[int, int]


class Distortion(Component, ABC):
    """Distorts images, each in its own random way, wherever they lie. A subclass gives ``distort``."""

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Distorted images.

        Args:
            images: (B, C, H, W), or one image (C, H, W); floating point; 0 is the background.
            generator: source of the random numbers, on the device of the images; torch's own where None.

        Returns:
            (B, C, *output_size((H, W))), or one such image.

        Raises:
            ValueError: for another rank or dtype.
        """
        if images.ndim not in (3, 4) or not images.is_floating_point():
            raise ValueError(
                f"{type(self).__name__}: expected floating-point images (B, C, H, W) or (C, H, W), got {images.dtype} "
                f"{tuple(images.shape)}"
            )
        batch = images if images.ndim == 4 else images[None]
        return self.distort(batch, generator).view(*images.shape[:-2], *self.output_size((images.shape[-2], images.shape[-1])))

    @abstractmethod
    def distort(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """``forward`` of a batch (B, C, H, W)."""

    def output_size(self, size: Size) -> Size:
        """(H', W') of the distorted images of images (H, W)."""
        return size


class MatrixDistortion(Distortion):
    """A distortion that is a matrix on homogeneous points; several in a row are composed and sampled once.

    Convention:
        Points are pixels from the image's centre, x to the right, y down. Matrices map target to source points.

    Attributes:
        affine: whether the last row of the matrix is (0, 0, 1).
    """

    affine: ClassVar[bool] = True

    @abstractmethod
    def extend(self, matrix: Tensor, source: Size, target: Size, generator: torch.Generator | None) -> Tensor:
        """The matrix of what came before and then this.

        Args:
            matrix: (B, 3, 3) of the distortions before, from their target to the first source.
            source: (H, W) of the first source.
            target: (H', W') of this distortion's target.
            generator: source of the random numbers.

        Returns:
            (B, 3, 3).
        """

    def distort(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        return warp_once([self], images, generator)


def matrix_of(chain: Sequence[MatrixDistortion], images: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Size]:
    """The matrix (B, 3, 3) of a chain, and the size of its target; in float32, or float64 where the images are."""
    source = target = images.shape[-2], images.shape[-1]
    dtype = torch.promote_types(images.dtype, torch.float32)
    matrix = torch.eye(3, device=images.device, dtype=dtype).expand(images.shape[0], -1, -1)
    for distortion in chain:
        target = distortion.output_size(target)
        matrix = distortion.extend(matrix, source, target, generator)
    return matrix, target


def warp_once(chain: Sequence[MatrixDistortion], images: Tensor, generator: torch.Generator | None) -> Tensor:
    """Images (B, C, H, W) through a chain of matrix distortions, sampled once."""
    matrix, target = matrix_of(chain, images, generator)
    matrix = normalised(matrix, (images.shape[-2], images.shape[-1]), target)
    if all(distortion.affine for distortion in chain):
        grid = _AFFINE.grid(_AFFINE.from_matrix(matrix), target)
    else:
        grid = _PROJECTIVE.grid(_PROJECTIVE.from_matrix(matrix), target)
    warped: Tensor = _BILINEAR(images, grid)
    return warped


def normalised(matrix: Tensor, source: Size, target: Size) -> Tensor:
    """A matrix (B, 3, 3) of pixels from the centre as one of normalised coordinates (``align_corners=False``)."""
    to_pixels, from_pixels = (target[1] / 2, target[0] / 2, 1.0), (2 / source[1], 2 / source[0], 1.0)
    units = [[row * column for column in to_pixels] for row in from_pixels]
    return matrix * torch.tensor(units, device=matrix.device, dtype=matrix.dtype)


def uniform(count: int, low: float, high: float, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """(count,) numbers, uniform in [low, high), of the dtype and on the device of ``like``."""
    return low + (high - low) * torch.rand(count, generator=generator, device=like.device, dtype=like.dtype)


_AFFINE, _PROJECTIVE, _BILINEAR = Affine(), Projective(), Bilinear()
