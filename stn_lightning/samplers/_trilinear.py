"""Trilinear sampler."""

from __future__ import annotations

from stn_lightning.samplers._bilinear import Bilinear


class Trilinear(Bilinear):
    """Trilinear interpolation in space: ``bilinear`` with a third coordinate (Jaderberg et al. 2015, appendix A.3).

    ``V = sum_nml U_nml max(0, 1 - |x - m|) max(0, 1 - |y - n|) max(0, 1 - |z - l|)``

    Args:
        padding_mode: what lies outside the input: ``zeros``, its ``border`` voxels, its ``reflection``, or its mean
            ``background``, see ``Sampler``.
        deterministic: read by ``torch.index_select``, see ``Bilinear``.
    """

    ndim = 3
