"""The spatial transformer layer: localisation net, transform and sampler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from stn_lightning.geometry import checked_size
from stn_lightning.localisations import Localisation
from stn_lightning.samplers import Sampler
from stn_lightning.transforms import Transform


class Warped(NamedTuple):
    """What a spatial transformer made of its input.

    Attributes:
        output: (B, C, *output size), the warped feature map.
        theta: (B, P), the parameters of the warp.
        grid: (B, *output size, ndim), normalised source points (x, y[, z]).
    """

    output: Tensor
    theta: Tensor
    grid: Tensor


class _Layer(nn.Module):
    """What one and several spatial transformers share."""

    def __init__(
        self,
        nets: Sequence[Localisation],
        transform: Transform,
        sampler: Sampler,
        output_size: Sequence[int] | None,
        align_corners: bool,
    ) -> None:
        super().__init__()
        _check_parts(nets, transform, sampler)
        self.transform = transform
        self.sampler = sampler
        self.output_size = checked_size(output_size, transform.ndim, "output_size") if output_size is not None else None
        self.align_corners = align_corners

    def warp(self, x: Tensor, theta: Tensor) -> Warped:
        """The feature map (B, C, *size) warped with theta (B, P)."""
        grid = self.transform.grid(theta, self.output_size or x.shape[2:], self.align_corners)
        return Warped(self.sampler(x, grid, self.align_corners), theta, grid)


class SpatialTransformer(_Layer):
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


class ParallelSpatialTransformers(_Layer):
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


def _check_parts(nets: Sequence[Localisation], transform: Transform, sampler: Sampler) -> None:
    parts = [("transform", transform, Transform), ("sampler", sampler, Sampler)]
    for name, part, kind in [*(("localisation", net, Localisation) for net in nets), *parts]:
        if not isinstance(part, kind):
            raise ValueError(f"expected {name} to be a {kind.__name__}, got {type(part).__name__}")
    if not nets:
        raise ValueError("expected at least one localisation, got none")
    for net in nets:
        if net.num_params != transform.num_params:
            raise ValueError(
                f"expected a localisation of {transform.num_params} parameters, as {type(transform).__name__} has; "
                f"got {net.num_params} from {type(net).__name__}"
            )
        if not net.ndim == transform.ndim == sampler.ndim:
            raise ValueError(
                f"expected parts of one ndim, got localisation {net.ndim}, transform {transform.ndim}, sampler {sampler.ndim}"
            )
