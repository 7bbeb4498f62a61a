"""Reading a map pixel by pixel under a separable kernel.

On CUDA the backward pass of ``torch.index_select`` is deterministic under ``torch.use_deterministic_algorithms``; that of
``grid_sample`` has no deterministic form (pytorch#68959).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from stn_lightning.samplers._sampler import PaddingMode

FAR = 2.0**30  # pixels: beyond it a float may have no integer
Kernel = Callable[[Tensor], tuple[Tensor, Sequence[Tensor]]]


def folded(index: Tensor, size: int, padding_mode: PaddingMode, align_corners: bool) -> Tensor:
    """The pixels that stand where an axis is continued beyond its ends.

    Args:
        index: integers; 0 is the first pixel.
        size: number of pixels.
        padding_mode: ``reflection``, or else the first and last pixel go on.
        align_corners: whether a reflection is about the centre of the last pixel, or its outer edge (False).

    Returns:
        Integers from 0 to ``size - 1``.
    """
    if padding_mode != "reflection":
        return index.clamp(0, size - 1)
    period = max(2 * size - 2, 1) if align_corners else 2 * size
    index = index % period
    return torch.minimum(index, period - index if align_corners else period - 1 - index)


def gathered(
    input: Tensor, points: Tensor, kernel: Kernel, padding_mode: PaddingMode, align_corners: bool, margin: int = 0
) -> Tensor:
    """Sums of pixels, weighted by a kernel of each coordinate.

    A pixel is read with all its channels: one index serves them all, and the deterministic backward pass, which sorts the
    indices, has the fewest to sort.

    Args:
        input: (B, C, *size) map.
        points: (B, N, ndim) points in pixels, (x, y[, z]).
        kernel: of one coordinate (B, N), gives the first pixel that is read, and the weights of that one and its successors.
        padding_mode: how an axis is continued, see ``folded``.
        align_corners: see ``folded``.
        margin: how many pixels of the input, at each end of an axis, come before pixel 0 and after the last.

    Returns:
        (B, C, N).
    """
    batch, channels, *sizes = input.shape
    index = torch.arange(batch, device=input.device).view(batch, 1, 1)
    weight = torch.ones_like(points[:, None, :, 0])
    for axis, size in enumerate(sizes):
        first, weights = kernel(points[..., -1 - axis])
        start = first.clamp(-FAR, FAR).long().unsqueeze(1)
        successors = torch.arange(margin, margin + len(weights), device=input.device).view(-1, 1)
        along = folded(start + successors, size, padding_mode, align_corners)
        index = (index.unsqueeze(2) * size + along.unsqueeze(1)).flatten(1, 2)
        weight = (weight.unsqueeze(2) * torch.stack(list(weights), dim=1).unsqueeze(1)).flatten(1, 2)
    pixels = input.movedim(1, -1).flatten(0, -2).index_select(0, index.flatten())
    return (pixels.view(*index.shape, channels) * weight.unsqueeze(-1)).sum(1).transpose(1, 2)
