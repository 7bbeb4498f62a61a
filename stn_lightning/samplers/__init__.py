"""Samplers: feature map and grid to warped feature map.

The samplers are plugins: ``registry["bilinear"]``, ``stn_lightning.samplers.bilinear``, ``--model.sampler=bilinear``.
"""

from typing import Any

from stn_lightning.plugins import Registry
from stn_lightning.samplers._antialiased import Antialiased
from stn_lightning.samplers._bicubic import Bicubic
from stn_lightning.samplers._bilinear import Bilinear
from stn_lightning.samplers._bspline import BSpline
from stn_lightning.samplers._interpolation import Interpolation
from stn_lightning.samplers._linear import Linear
from stn_lightning.samplers._multilinear import multilinear
from stn_lightning.samplers._nearest import Nearest
from stn_lightning.samplers._sampler import Sampler, frame_mean
from stn_lightning.samplers._trilinear import Trilinear

registry = Sampler.registry = Registry("stn_lightning.samplers", Sampler)


def __getattr__(name: str) -> Any:
    return registry.resolve(name)


__all__ = [
    "Antialiased",
    "BSpline",
    "Bicubic",
    "Bilinear",
    "Interpolation",
    "Linear",
    "Nearest",
    "Sampler",
    "Trilinear",
    "frame_mean",
    "multilinear",
    "registry",
]
