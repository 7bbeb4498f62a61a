"""Clutter: patches of other images."""

from __future__ import annotations

import torch
from torch import Tensor

from stn_lightning.distortions._distortion import Distortion, Size


class RandomClutter(Distortion):
    """Each image anywhere in an empty canvas, and patches of other images of the batch anywhere around and over it.

    Image and patches lie on whole pixels, are added, and clamped to 1. An image alone in its batch is cluttered by itself.

    Args:
        size: side of the square canvas, in pixels.
        patches: patches per image.
        side: height and width of a patch, in pixels.
    """

    def __init__(self, size: int = 60, patches: int = 6, side: int = 6) -> None:
        super().__init__()
        if patches < 0 or not 1 <= side <= size:
            raise ValueError(f"expected patches of at least 0 and 1 <= side <= size, got {size=}, {patches=}, {side=}")
        self.size = size
        self.patches = patches
        self.side = side

    def output_size(self, size: Size) -> Size:
        return self.size, self.size

    def distort(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        batch, channels, height, width = images.shape
        if not self.side <= min(height, width) <= max(height, width) <= self.size:
            raise ValueError(f"expected images of {self.side} to {self.size} pixels a side, got {height}x{width}")

        def draw(limit: int, count: int) -> Tensor:
            return torch.randint(max(limit, 1), (batch, count), generator=generator, device=images.device)

        def place(height: int, width: int, count: int) -> Tensor:
            """(B, count * height * width): flat indices of windows anywhere in the canvas."""
            corner = draw(self.size - height + 1, count) * self.size + draw(self.size - width + 1, count)
            return (corner[:, :, None] + _window(height, width, self.size, images.device)).flatten(1)

        number = torch.arange(batch, device=images.device)[:, None]
        other = (number + 1 + draw(batch - 1, self.patches)) % batch
        corner = draw(height - self.side + 1, self.patches) * width + draw(width - self.side + 1, self.patches)
        window = corner[:, :, None] + _window(self.side, self.side, width, images.device)
        pixels = images.flatten(2)
        patches = pixels[other[:, :, None], :, window].flatten(1, 2).transpose(1, 2)
        canvas = images.new_zeros(batch, channels, self.size * self.size)
        for values, index in (
            (pixels, place(height, width, 1)),
            (patches, place(self.side, self.side, self.patches)),
        ):
            canvas.scatter_add_(2, index[:, None].expand(-1, channels, -1), values)
        return canvas.clamp_(max=1).view(batch, channels, self.size, self.size)


def _window(height: int, width: int, stride: int, device: torch.device) -> Tensor:
    """Flat indices of a window of an image of a width ``stride``, from its corner."""
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    return (rows[:, None] * stride + columns).flatten()
