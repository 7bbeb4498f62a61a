"""Spatial transforms: theta to sampling grid.

The transforms are plugins: ``registry["affine"]``, ``stn_lightning.transforms.affine``, ``--model.transform=affine``.
"""

from typing import Any

from stn_lightning.plugins import Registry
from stn_lightning.transforms._affine import Affine
from stn_lightning.transforms._affine1d import Affine1d
from stn_lightning.transforms._affine3d import Affine3d
from stn_lightning.transforms._attention import Attention
from stn_lightning.transforms._flow import Flow
from stn_lightning.transforms._linear import LinearTransform
from stn_lightning.transforms._matrix import MatrixTransform
from stn_lightning.transforms._piecewise_affine import PiecewiseAffine
from stn_lightning.transforms._projective import Projective
from stn_lightning.transforms._similarity import Similarity
from stn_lightning.transforms._tps import ThinPlateSpline
from stn_lightning.transforms._transform import Transform
from stn_lightning.transforms._translation import Translation

registry = Transform.registry = Registry("stn_lightning.transforms", Transform)


def __getattr__(name: str) -> Any:
    return registry.resolve(name)


__all__ = [
    "Affine",
    "Affine1d",
    "Affine3d",
    "Attention",
    "Flow",
    "LinearTransform",
    "MatrixTransform",
    "PiecewiseAffine",
    "Projective",
    "Similarity",
    "ThinPlateSpline",
    "Transform",
    "Translation",
    "registry",
]
