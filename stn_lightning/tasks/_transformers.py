"""What makes the spatial transformers of a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor

from stn_lightning.localisations import Localisation
from stn_lightning.networks import TransformerFactory
from stn_lightning.samplers import Sampler, multilinear
from stn_lightning.spatial_transformer import Layer, ParallelSpatialTransformers, SpatialTransformer, SpatialTransformerChain
from stn_lightning.tasks._windows import tiling
from stn_lightning.transforms import Transform

LocalisationFactory = Callable[[tuple[int, ...], Tensor], Localisation]


def transformer_factory(
    transform: Transform,
    localisation: LocalisationFactory,
    sampler: Sampler | None = None,
    initial: float | Sequence[float] | None = None,
    output_size: tuple[int, ...] | None = None,
    align_corners: bool = False,
    heads: int = 1,
    steps: int = 1,
    shared: bool = True,
    windows: int = 1,
) -> TransformerFactory:
    """What makes a spatial transformer for a feature map (C, H, W), or several: each with parts of its own.

    Args:
        transform: its transform.
        localisation: makes the localisation net of (shape, initial).
        sampler: its sampler; None for ``bilinear``, or ``linear`` or ``trilinear`` where the transform has 1 or 3 dimensions.
        initial: theta at the start, or one number, the scale of the central window that is seen at the start; None for
            ``transform.initial()``.
        output_size: (H', W') of the output; None for that of the feature map.
        align_corners: whether -1 and 1 are the centres of the corner pixels, or their outer edges (False).
        heads: how many stand side by side, each with a localisation net of its own.
        steps: how many are chained.
        shared: whether the steps of a chain share one localisation net.
        windows: how many one localisation net points at.

    Raises:
        ValueError: for an ``initial`` of another length than the transform's theta, or a scale not above 0 or that the
            transform has not; for ``heads`` or ``steps`` below 1, or both above.
    """
    start = _start(transform, initial).expand(windows, -1)
    sampler = sampler if sampler is not None else multilinear(transform.ndim)

    if min(heads, steps) < 1 or (heads > 1 and steps > 1):
        raise ValueError(f"expected heads and steps of at least 1, and one of them 1; got {heads=}, {steps=}")

    def make(shape: tuple[int, ...]) -> Layer:
        parts = deepcopy(transform), deepcopy(sampler), output_size, align_corners
        first = localisation(shape, start)
        if heads > 1:
            return ParallelSpatialTransformers([first, *(localisation(shape, start) for _ in range(heads - 1))], *parts)
        if steps > 1:
            identity = transform.identity()[None].float()
            others = [first if shared else localisation(shape, identity) for _ in range(steps - 1)]
            return SpatialTransformerChain([first, *others], *parts)
        return SpatialTransformer(first, *parts) if windows == 1 else ParallelSpatialTransformers(first, *parts)

    return make


def _start(transform: Transform, initial: float | Sequence[float] | None) -> Tensor:
    if initial is None:
        return transform.initial()[None].float()
    if isinstance(initial, float | int):
        if not initial > 0:
            raise ValueError(f"expected initial, a scale, above 0; got {initial}")
        return tiling(transform, 1, initial)
    if len(initial) != transform.num_params:
        raise ValueError(
            f"expected initial with {transform.num_params} numbers, as {type(transform).__name__} has; got {initial}"
        )
    return torch.tensor([initial], dtype=torch.float32)
