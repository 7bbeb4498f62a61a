"""The distorted sets of Jaderberg et al. 2015, appendix A.4."""

from __future__ import annotations

from typing import Literal

from stn_lightning.distortions._affine_parts import RandomPlacement, RandomRotation, RandomScale
from stn_lightning.distortions._compose import Compose
from stn_lightning.distortions._distortion import Distortion

Recipe = Literal["none", "R", "RTS"]


def recipe(name: Recipe) -> Distortion:
    """The distortion of a set, by its name in the paper.

    - ``none``: undistorted.
    - ``R``: rotation by up to 90 degrees either way.
    - ``RTS``: rotation by up to 45 degrees, scale 0.7 to 1.2, anywhere in a 42x42 canvas.
    """
    parts: dict[Recipe, list[Distortion]] = {
        "none": [],
        "R": [RandomRotation(90.0)],
        "RTS": [RandomRotation(45.0), RandomScale(0.7, 1.2), RandomPlacement(42)],
    }
    return Compose(parts[name])
