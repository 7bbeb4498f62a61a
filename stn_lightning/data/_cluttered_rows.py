"""Digits in a row, in clutter."""

from __future__ import annotations

import torch
from torch import Tensor

CANVAS = 100
PATCHES, PATCH = 8, 9


def cluttered_rows(digits: Tensor, generator: torch.Generator) -> Tensor:
    """Draws the digits of each image in a row, in the clutter of patches of any digits (Sonderby et al. 2015).

    Args:
        digits: (B, L, N, N) uint8, L digits of N pixels a side, which fit side by side into 100 pixels.
        generator: source of the random numbers, on the device of the digits.

    Returns:
        (B, 1, 100, 100) uint8.
    """
    batch, length, side, _ = digits.shape

    def draw(limit: int, count: int = 1) -> Tensor:
        return torch.randint(limit, (batch, count), generator=generator, device=digits.device)

    def window(top: Tensor, left: Tensor, side: int, width: int) -> Tensor:
        """(B, count, side * side): flat indices of squares in images of a width, from their corners (B, count)."""
        line = torch.arange(side, device=digits.device)
        return (top * width + left)[..., None] + (line[:, None] * width + line).flatten()

    number = torch.arange(length, device=digits.device)
    left = draw(CANVAS - length * side) + number * side
    top = (draw(CANVAS) + (draw(side) - side // 2) * number).clamp(0, CANVAS - side)
    patch = window(draw(side - PATCH, PATCHES), draw(side - PATCH, PATCHES), PATCH, side)
    cut = digits.flatten(0, 1).flatten(1)[draw(batch * length, PATCHES)[..., None], patch]
    place = window(draw(CANVAS - PATCH, PATCHES), draw(CANVAS - PATCH, PATCHES), PATCH, CANVAS)
    canvas = digits.new_zeros(batch, CANVAS * CANVAS, dtype=torch.int32)
    canvas.scatter_add_(1, window(top, left, side, CANVAS).flatten(1), digits.flatten(1).int())
    canvas.scatter_add_(1, place.flatten(1), cut.flatten(1).int())
    return canvas.clamp_(max=255).to(torch.uint8).view(batch, 1, CANVAS, CANVAS)
