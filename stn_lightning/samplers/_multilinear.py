"""The linear sampler of each dimension."""

from __future__ import annotations

from stn_lightning.samplers._bilinear import Bilinear
from stn_lightning.samplers._linear import Linear
from stn_lightning.samplers._sampler import PaddingMode
from stn_lightning.samplers._trilinear import Trilinear


def multilinear(ndim: int, padding_mode: PaddingMode = "zeros") -> Bilinear:
    """The sampler ``linear`` of 1 dimension, ``bilinear`` of 2, or ``trilinear`` of 3.

    Args:
        ndim: dimensions of the space.
        padding_mode: what lies outside the input.
    """
    return {1: Linear, 2: Bilinear, 3: Trilinear}[ndim](padding_mode)
