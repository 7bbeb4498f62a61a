"""Batched random distortions of images, on any device, built from our own transforms and samplers."""

from stn_lightning.distortions._affine_parts import RandomPlacement, RandomRotation, RandomScale
from stn_lightning.distortions._clutter import RandomClutter
from stn_lightning.distortions._compose import Compose
from stn_lightning.distortions._distortion import Distortion, MatrixDistortion
from stn_lightning.distortions._elastic import RandomElastic
from stn_lightning.distortions._homography import RandomHomography
from stn_lightning.distortions._perspective import RandomPerspective
from stn_lightning.distortions._recipes import Recipe, recipe
from stn_lightning.distortions._stripes import RandomStripes

__all__ = [
    "Compose",
    "Distortion",
    "MatrixDistortion",
    "RandomClutter",
    "RandomElastic",
    "RandomHomography",
    "RandomPerspective",
    "RandomPlacement",
    "RandomRotation",
    "RandomScale",
    "RandomStripes",
    "Recipe",
    "recipe",
]
