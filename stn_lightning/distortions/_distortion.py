"""The contract of a distortion, and distortions that are a matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from stn_lightning.component import Component
from stn_lightning.samplers import Bilinear
from stn_lightning.transforms import Affine


class Distortion(Component, ABC):
    """Distorts a batch of images, each in its own random way, wherever the batch lies."""

    @abstractmethod
    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Distorted images.

        Args:
            images: (B, C, H, W), floating point; 0 is the background.
            generator: source of the random numbers, on the device of the images; torch's own where None.

        Returns:
            (B, C, *output_size((H, W))).
        """

    def output_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(H', W') of the distorted images of images (H, W)."""
        return size


class MatrixDistortion(Distortion):
    """A distortion that is an affine map of the plane; several in a row are composed and sampled once.

    Convention:
        Points are pixels from the image's centre, x to the right, y down. Matrices map target to source points.
    """

    @abstractmethod
    def extend(
        self, matrix: Tensor, source: tuple[int, int], target: tuple[int, int], generator: torch.Generator | None
    ) -> Tensor:
        """The matrix of what came before and then this.

        Args:
            matrix: (B, 3, 3) of the distortions before, from their target to the first source.
            source: (H, W) of the first source.
            target: (H', W') of this distortion's target.
            generator: source of the random numbers.

        Returns:
            (B, 3, 3).
        """

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return warp_once([self], images, generator)


def warp_once(chain: Sequence[MatrixDistortion], images: Tensor, generator: torch.Generator | None) -> Tensor:
    """Images (B, C, H, W) through a chain of matrix distortions, sampled once."""
    source = target = images.shape[-2], images.shape[-1]
    matrix = torch.eye(3, device=images.device).expand(images.shape[0], -1, -1)
    for distortion in chain:
        target = distortion.output_size(target)
        matrix = distortion.extend(matrix, source, target, generator)
    to_pixels = torch.tensor([target[1] / 2, target[0] / 2, 1.0], device=images.device)
    from_pixels = torch.tensor([2 / source[1], 2 / source[0]], device=images.device)
    theta = from_pixels[:, None] * matrix[:, :2] * to_pixels
    warped: Tensor = _BILINEAR(images, _AFFINE.grid(theta.flatten(1), target))
    return warped


def uniform(count: int, low: float, high: float, like: Tensor, generator: torch.Generator | None) -> Tensor:
    """(count,) numbers, uniform in [low, high)."""
    return low + (high - low) * torch.rand(count, generator=generator, device=like.device)


_AFFINE = Affine()
_BILINEAR = Bilinear()
