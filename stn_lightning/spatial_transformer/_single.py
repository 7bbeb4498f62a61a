"""One spatial transformer: localisation net, transform and sampler."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from stn_lightning.localisations import Localisation
from stn_lightning.samplers import Sampler
from stn_lightning.spatial_transformer._layer import Layer, Warped
from stn_lightning.transforms import Transform


class SpatialTransformer(Layer):
    """A spatial transformer: ``sampler(x, transform.grid(localisation(x)))`` (Jaderberg et al. 2015, section 3).

    Convention:
        theta maps target (output) to source (input) points; [-1, 1] spans the image; one ``align_corners`` for both parts.

    Args:
        localisation: feature map to theta, with one head.
        transform: theta to grid.
        sampler: feature map and grid to output.
        output_size: (H', W') of the output; that of the input where None.
        align_corners: whether -1 and 1 are the centres of the corner pixels, or their outer edges (False).

    Raises:
        ValueError: if the parts do not fit together.
    """

    def __init__(
        self,
        localisation: Localisation,
        transform: Transform,
        sampler: Sampler,
        output_size: Sequence[int] | None = None,
        align_corners: bool = False,
    ) -> None:
        super().__init__([localisation], transform, sampler, output_size, align_corners)
        if localisation.num_heads != 1:
            raise ValueError(
                f"expected a localisation with one head, got {localisation.num_heads}: use ParallelSpatialTransformers"
            )
        self.localisation = localisation

    def forward(self, x: Tensor) -> Warped:
        """Output, theta and grid.

        Args:
            x: (B, C, *size) feature map.

        Raises:
            ValueError: if the localisation net is built for another shape.
        """
        return self.warp(x, self.localisation(x)[:, 0])
