"""Bilinear sampler."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from stn_lightning.samplers._interpolation import Interpolation


class Bilinear(Interpolation):
    """Bilinear interpolation: Jaderberg et al. 2015, equation (5), with the gradients of (6) and (7).

    Args:
        padding_mode: what lies outside the input: ``zeros``, its ``border`` pixels, its ``reflection``, or its mean
            ``background``, see ``Sampler``.
        deterministic: read by ``torch.index_select`` instead of ``grid_sample``: the same to rounding, slower. On CUDA, under
            ``torch.use_deterministic_algorithms`` (``Trainer(deterministic=True)``), the gradient of the former is
            deterministic and that of the latter an error; there a map is read so in any case.
    """

    mode = "bilinear"

    @staticmethod
    def kernel(pixel: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        first = pixel.floor()
        t = pixel - first
        return first, [1 - t, t]
