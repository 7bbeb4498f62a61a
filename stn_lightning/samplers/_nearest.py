"""Nearest sampler."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from stn_lightning.samplers._interpolation import Interpolation


class Nearest(Interpolation):
    """The nearest pixel: Jaderberg et al. 2015, equation (4).

    Piecewise constant: it has a gradient in the input, none in the grid. Halfway between two pixels it takes the even one, as
    ``torch.nn.functional.grid_sample`` does.

    Args:
        padding_mode: what lies outside the input: ``zeros``, its ``border`` pixels, its ``reflection``, or its mean
            ``background``, see ``Sampler``.
        deterministic: read by ``torch.index_select``, see ``Bilinear``.
    """

    mode = "nearest"
    grid_gradient = "none"

    @staticmethod
    def kernel(pixel: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        return pixel.round(), [1 + 0 * pixel]  # a gradient of zero, as that of grid_sample
