"""Ink and ground of fine stripes."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

from stn_lightning.distortions._distortion import Distortion, uniform


class RandomStripes(Distortion):
    """Draws an image of ink on a ground of 0 in stripes alone: horizontal ones for the ink, vertical ones for the ground.

    Both are cosines of one period and amplitude, of random phase in each image, computed at the pixels and not resampled. So
    what the ink shows lies in frequencies near ``1 / period``: whoever blurs them sees grey. A set of ours, for the question
    which sampling kernel to take where high frequencies matter.

    Args:
        period: of the stripes, in pixels, at least 2, the shortest that pixels can show.

    Raises:
        ValueError: for a shorter period.
    """

    def __init__(self, period: float = 2.5) -> None:
        super().__init__()
        if not period >= 2:
            raise ValueError(f"expected period of at least 2 pixels, got {period}")
        self.period = period

    def distort(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        down, right = (torch.arange(n).to(images) * (2 * pi / self.period) for n in images.shape[-2:])
        phases = uniform(2 * len(images), 0, 2 * pi, images, generator).view(2, -1, 1, 1, 1)
        ink, ground = (down[:, None] + phases[0]).cos(), (right + phases[1]).cos()
        return (1 + images * ink + (1 - images) * ground) / 2
