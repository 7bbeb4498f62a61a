"""What one and several spatial transformers share."""

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


class Layer(nn.Module):
    """What one and several spatial transformers share.

    Attributes:
        num_heads: how many warped feature maps it makes of one.
    """

    num_heads: int = 1

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
