"""Parts of images that a network sees."""

from __future__ import annotations

import torch
from torch import Tensor


def centre_crops(images: Tensor, side: int) -> Tensor:
    """The middle (B, C, side, side) of images (B, C, H, W); where it cannot be in the middle, half a pixel up and left."""
    top, left = ((n - side) // 2 for n in images.shape[-2:])
    return images[..., top : top + side, left : left + side]


def random_crops(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Parts (B, C, side, side) of images (B, C, H, W), each at a place of its own; all places are equally likely.

    Args:
        images: on the generator's device.
        side: at most H and W.
        generator: source of chance.
    """
    within = torch.arange(side, device=images.device)
    count, _, *sizes = images.shape
    starts = (torch.randint(n - side + 1, (count, 1), generator=generator, device=images.device) for n in sizes)
    rows, columns = (start + within for start in starts)
    numbers = torch.arange(count, device=images.device)
    return images[numbers[:, None, None], :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
