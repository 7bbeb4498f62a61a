"""Anti-aliased sampler."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from stn_lightning.samplers._bilinear import Bilinear

# in sixteenths of an output pixel
TAPS = ((-7, -1), (-5, 5), (-3, -7), (-1, 3), (1, -3), (3, 7), (5, -5), (7, 1))


class Antialiased(Bilinear):
    """Bilinear interpolation that does not alias: the mean of the input over the footprint of each output pixel.

    The footprint of a point p is the parallelogram of the grid's steps there, the columns of its Jacobian J: central
    differences of neighbouring points, in input pixels. The output is the mean of eight bilinear reads at ``p + J o``, whose
    offsets o stand in the pixel as eight rooks that do not attack each other, with one second moment in every direction, as a
    square has. Each side of the footprint therefore sees eight different reads, however long and thin it is.

    A step counts as nothing up to 1 pixel and in full from sqrt(2) pixels on, in between by a smoothstep of its square. So
    where nothing shrinks the output is exactly that of ``bilinear``, rounding of steps of one pixel does not show, and the
    output is continuous. Along a side of the output that is one pixel long there is no step. The gradient reaches the grid
    through p and through J.

    The eight reads are fixed, so that shapes are static. Of what else was measured (docs/sampling.md), patterns of 2x2 and 3x3
    are worse on long footprints, 4x4 costs twice as much, and a pyramid of averages (mipmap) blurs long footprints sidewise.
    Beyond 1/8 of the scale the reads stand more than two pixels apart, and aliasing returns slowly.

    Args:
        padding_mode: what lies outside the input: ``zeros``, its ``border`` pixels, its ``reflection``, or its mean
            ``background``, see ``Sampler``.
        deterministic: read by ``torch.index_select``, see ``Bilinear``.
    """

    def sample(self, input: Tensor, grid: Tensor, align_corners: bool) -> Tensor:
        scale = [(n - 1) / 2 if align_corners else n / 2 for n in reversed(input.shape[2:])]
        across, down = _shrinking(_step(grid, 2), scale), _shrinking(_step(grid, 1), scale)
        points = torch.stack([grid.add(across, alpha=x / 16).add(down, alpha=y / 16) for x, y in TAPS], dim=1)
        reads = super().sample(input, points.flatten(1, 2), align_corners)
        # pair by pair: the mean of equal numbers is then exactly that number
        pairs = reads.view(*input.shape[:2], 2, 2, 2, *grid.shape[1:-1])
        mean: Tensor = pairs.mean(2).mean(2).mean(2)
        return mean


def _step(grid: Tensor, axis: int) -> Tensor:
    """The step from point to point along an axis: central differences, one-sided at the ends."""
    if grid.shape[axis] == 1:
        return torch.zeros_like(grid)
    step = grid.diff(dim=axis)
    before = torch.cat([step.narrow(axis, 0, 1), step], axis)
    after = torch.cat([step, step.narrow(axis, step.shape[axis] - 1, 1)], axis)
    return (before + after) / 2


def _shrinking(step: Tensor, scale: Sequence[float]) -> Tensor:
    """The step, less what bilinear interpolation covers: nothing up to 1 pixel, all of it from sqrt(2) pixels on."""
    x, y = step.unbind(-1)
    t = ((scale[0] * x).square() + (scale[1] * y).square() - 1).clamp(0, 1)
    return step * (t * t * (3 - 2 * t)).unsqueeze(-1)
