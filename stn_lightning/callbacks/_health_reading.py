"""What is measured of a spatial transformer on one batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, nan
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stn_lightning import health
from stn_lightning.geometry import regular_points
from stn_lightning.localisations import Bounded, Localisation
from stn_lightning.spatial_transformer import ParallelSpatialTransformers, SpatialTransformer, Warped

POINTS = 16  # the most of a grid in each direction, and
SAMPLES = 64  # the most of a batch: what is measured costs less than a thousandth of a second
NEAR_THE_END = 0.95  # of its range: less than a tenth of the gradient passes tanh there


class Reading(NamedTuple):
    """Measures of a spatial transformer, of the images of all processes; not a number where there is nothing to measure.

    Attributes:
        outside: mean share of the window's points outside the image.
        area: median area of the window relative to the image's.
        condition: median condition number of its Jacobian.
        folds: mean share of its cells that are turned over.
        identity: mean distance of its points from where the identity has them; 2 is the side of the image.
        moved: mean distance of its points from where they were at the start.
        spread: distance of its points from the mean window of the batch.
        saturated: share of bounded parameters near the end of their range.
        gradient: norm of the gradient of its localisation net relative to that of all parameters.
    """

    outside: float
    area: float
    condition: float
    folds: float
    identity: float
    moved: float
    spread: float
    saturated: float
    gradient: float


class Head(NamedTuple):
    """Whose theta it is.

    Attributes:
        net: the localisation net.
        number: which of its heads.
    """

    net: Localisation
    number: int


def head_of(module: nn.Module, name: str) -> Head | None:
    """The head of a localisation net whose theta is that of ``warps[name]``; None where the network has names of its own.

    A ``SpatialTransformer`` is known by its name in the network; one of ``ParallelSpatialTransformers`` by that and its
    number, or by its number alone where none has the name.
    """
    placement, _, number = name.rpartition(".")
    parallel: dict[str, ParallelSpatialTransformers] = {}
    for path, layer in module.named_modules():
        if isinstance(layer, SpatialTransformer) and path.rpartition(".")[2] == name:
            return Head(layer.localisation, 0)
        if isinstance(layer, ParallelSpatialTransformers):
            parallel[path.rpartition(".")[2]] = layer
    if not parallel or not number.isdecimal():
        return None
    layers = parallel.get(placement, next(iter(parallel.values())))
    nets = [net for net in layers.localisations if isinstance(net, Localisation)]
    heads = [Head(net, i) for net in nets for i in range(net.num_heads)]
    return heads[int(number) - 1] if 0 < int(number) <= len(heads) else None


class _Place(NamedTuple):
    picked: tuple[slice, ...]
    identity: Tensor
    spacing: tuple[float, ...]


@lru_cache(maxsize=64)
def _place(size: Sequence[int], align_corners: bool, device: torch.device) -> _Place:
    strides = [ceil(n / POINTS) for n in size]
    picked = tuple(slice(None, None, stride) for stride in strides)
    whole = regular_points(size, align_corners).view(*size, len(size)).float()
    spans = [max(1, n - 1) if align_corners else n for n in size]
    spacing = tuple(2 * stride / span for stride, span in zip(strides, spans, strict=True))
    return _Place(picked, whole[picked].to(device), spacing[::-1])


def thinned(grid: Tensor, align_corners: bool) -> tuple[Tensor, Tensor, tuple[float, ...]]:
    """Some points of some grids (b, *few, ndim), where the identity has them (*few, ndim), and their spacing in x, y[, z]."""
    place = _place(tuple(grid.shape[1:-1]), align_corners, grid.device)
    return grid.detach()[(slice(SAMPLES), *place.picked)].float(), place.identity, place.spacing


def measured(warped: Warped, align_corners: bool, start: Tensor | None, head: Head | None) -> Tensor:
    """The first eight measures of a ``Reading``, as a tensor: nothing waits for the device.

    Args:
        warped: what a spatial transformer made of a batch.
        align_corners: its setting.
        start: (*few, ndim) where the thinned points were at the start; None if unknown.
        head: whose theta it is.
    """
    grid, identity, spacing = thinned(warped.grid, align_corners)
    jacobian = health.jacobians(grid, spacing)
    determinant = health.determinants(jacobian)
    unknown = torch.full((), nan, device=grid.device)
    saturated = unknown
    if head is not None and isinstance(head.net, Bounded):
        thetas = warped.theta[:, None].expand(-1, head.net.num_heads, -1)
        saturated = (head.net.saturation(thetas)[:, head.number] > NEAR_THE_END).float().mean()
    return torch.stack(
        [
            health.share_outside(grid).mean(),
            health.area(determinant).median(),
            health.condition(jacobian).median(),
            health.folds(determinant).mean(),
            health.distance(grid, identity).mean(),
            unknown if start is None or start.shape != grid.shape[1:] else health.distance(grid, start.to(grid)).mean(),
            health.spread(grid) if len(grid) > 1 else unknown,
            saturated,
        ]
    )
