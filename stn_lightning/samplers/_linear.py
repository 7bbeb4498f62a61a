"""Linear sampler."""

from __future__ import annotations

from stn_lightning.samplers._bilinear import Bilinear


class Linear(Bilinear):
    """Linear interpolation of a signal (B, C, L): ``bilinear`` with one coordinate.

    Args:
        padding_mode: what lies outside the input: ``zeros``, its ``border`` samples, its ``reflection``, or its mean
            ``background``, see ``Sampler``.
        deterministic: read by ``torch.index_select``, see ``Bilinear``.
    """

    ndim = 1
