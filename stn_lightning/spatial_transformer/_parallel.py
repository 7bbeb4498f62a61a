"""Several spatial transformers side by side."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from stn_lightning.localisations import Localisation
from stn_lightning.samplers import Sampler
from stn_lightning.spatial_transformer._layer import Layer, Warped
from stn_lightning.transforms import Transform


class ParallelSpatialTransformers(Layer):
    """Several spatial transformers on one input (Jaderberg et al. 2015, section 4.3).

    Convention:
        theta maps target (output) to source (input) points; [-1, 1] spans the image; one ``align_corners`` for both parts.

    Args:
        localisation: one net with K heads, or several nets, whose heads are taken in order.
        transform: theta to grid.
        sampler: feature map and grid to output.
        output_size: (H', W') of each output; that of the input where None.
        align_corners: whether -1 and 1 are the centres of the corner pixels, or their outer edges (False).

    Raises:
        ValueError: if the parts do not fit together.
    """

    def __init__(
        self,
        localisation: Localisation | Sequence[Localisation],
        transform: Transform,
        sampler: Sampler,
        output_size: Sequence[int] | None = None,
        align_corners: bool = False,
    ) -> None:
        nets = list(localisation) if isinstance(localisation, Sequence) else [localisation]
        super().__init__(nets, transform, sampler, output_size, align_corners)
        self.localisations = nn.ModuleList(nets)
        self.num_heads = sum(net.num_heads for net in nets)

    def forward(self, x: Tensor) -> tuple[Warped, ...]:
        """One ``Warped`` per head.

        Args:
            x: (B, C, *size) feature map.

        Raises:
            ValueError: if a localisation net is built for another shape.
        """
        return tuple(self.warp(x, theta) for net in self.localisations for theta in net(x).unbind(1))
