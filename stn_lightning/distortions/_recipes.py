"""The distorted sets of Jaderberg et al. 2015, appendix A.4, and of Lin & Lucey 2017."""

from __future__ import annotations

from typing import Literal

from stn_lightning.distortions._affine_parts import RandomPlacement, RandomRotation, RandomScale
from stn_lightning.distortions._clutter import RandomClutter
from stn_lightning.distortions._compose import Compose
from stn_lightning.distortions._distortion import Distortion
from stn_lightning.distortions._elastic import RandomElastic
from stn_lightning.distortions._homography import RandomHomography
from stn_lightning.distortions._perspective import RandomPerspective

Recipe = Literal["none", "R", "RTS", "P", "E", "TC", "IC"]


def recipe(name: Recipe) -> Distortion:
    """The distortion of a set, by its name in the paper.

    - ``none``: undistorted.
    - ``R``: rotation by up to 90 degrees either way.
    - ``RTS``: rotation by up to 45 degrees, scale 0.7 to 1.2, anywhere in a 42x42 canvas.
    - ``P``: scale 0.75 to 1, each corner moved by a normal distance of 5 pixels.
    - ``E``: scale 0.75 to 1, 16 control points of a thin plate spline moved by a normal distance of 1.5 pixels.
    - ``TC``: anywhere in a 60x60 canvas, with six 6x6 patches of other digits.
    - ``IC``: that of inverse compositional STNs (Lin & Lucey 2017): seen through a quadrangle whose corners are moved by a
      normal distance of 0.25, and all by another, where the image's half side is 1.
    """
    parts: dict[Recipe, list[Distortion]] = {
        "none": [],
        "R": [RandomRotation(90.0)],
        "RTS": [RandomRotation(45.0), RandomScale(0.7, 1.2), RandomPlacement(42)],
        "P": [RandomScale(0.75, 1.0), RandomPerspective(5.0)],
        "E": [RandomScale(0.75, 1.0), RandomElastic(1.5)],
        "TC": [RandomClutter(60, patches=6, side=6)],
        "IC": [RandomHomography(0.25, 0.25)],
    }
    return Compose(parts[name])
