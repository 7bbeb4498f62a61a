"""Bicubic sampler."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from stn_lightning.samplers._interpolation import Interpolation

A = -0.75


class Bicubic(Interpolation):
    """Bicubic convolution (Keys 1981, a = -0.75) over 4x4 pixels. It may overshoot the range of the input.

    Args:
        padding_mode: what lies outside the input: ``zeros``, its ``border`` pixels, its ``reflection``, or its mean
            ``background``, see ``Sampler``.
        deterministic: read by ``torch.index_select``, see ``Bilinear``.
    """

    mode = "bicubic"

    @staticmethod
    def kernel(pixel: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        floor = pixel.floor()
        t = pixel - floor
        return floor - 1, [_far(1 + t), _near(t), _near(1 - t), _far(2 - t)]


def _near(x: Tensor) -> Tensor:
    """Keys' kernel at distances up to 1."""
    return ((A + 2) * x - (A + 3)) * x * x + 1


def _far(x: Tensor) -> Tensor:
    """Keys' kernel at distances from 1 to 2."""
    return ((A * x - 5 * A) * x + 8 * A) * x - 4 * A
