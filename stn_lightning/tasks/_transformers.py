"""What makes the spatial transformers of a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from stn_lightning.localisations import Localisation
from stn_lightning.networks import TransformerFactory
from stn_lightning.samplers import Bilinear, Sampler
from stn_lightning.spatial_transformer import SpatialTransformer
from stn_lightning.tasks._windows import tiling
from stn_lightning.transforms import Transform

LocalisationFactory = Callable[[tuple[int, ...], Tensor], Localisation]


def transformer_factory(
    transform: Transform,
    localisation: LocalisationFactory,
    sampler: Sampler | None = None,
    initial: float | Sequence[float] | None = None,
    output_size: tuple[int, int] | None = None,
    align_corners: bool = False,
) -> TransformerFactory:
    """What makes a spatial transformer for a feature map (C, H, W).

    Args:
        transform: its transform.
        localisation: makes the localisation net of (shape, initial).
        sampler: its sampler; None for ``Bilinear``.
        initial: theta at the start, or one number, the scale of the central window that is seen at the start; None for
            ``transform.initial()``.
        output_size: (H', W') of the output; None for that of the feature map.
        align_corners: whether -1 and 1 are the centres of the corner pixels, or their outer edges (False).

    Raises:
        ValueError: for an ``initial`` of another length than the transform's theta, or a scale not above 0 or that the
            transform has not.
    """
    start = _start(transform, initial)
    sampler = sampler if sampler is not None else Bilinear()

    def make(shape: tuple[int, ...]) -> SpatialTransformer:
        return SpatialTransformer(localisation(shape, start), transform, sampler, output_size, align_corners)

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
