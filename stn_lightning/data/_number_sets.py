"""Which house numbers of caches belong to a set, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from stn_lightning.data._image_cache import ImageCache
from stn_lightning.data._lazy_batches import Images
from stn_lightning.data._seeds import derived_seed

NULL = 10


class Numbers(NamedTuple):
    """House numbers.

    Attributes:
        images: by number.
        chosen: (N,) which of them.
        target: (N, max_length): the digits, then 10.
    """

    images: Images
    chosen: Tensor
    target: Tensor


def select(caches: Sequence[ImageCache], max_length: int) -> Numbers:
    """The house numbers of caches, in their order, that have at most so many digits."""
    target = torch.cat([digits_and_nulls(cache.labels, max_length) for cache in caches])
    short = torch.cat([(cache.labels >= 0).sum(1) <= max_length for cache in caches])
    return Numbers(Images(*(cache.images for cache in caches)), short.nonzero()[:, 0], target[short])


def digits_and_nulls(labels: Tensor, length: int) -> Tensor:
    """Targets (N, length): the first digits of labels (N, L), in which -1 is behind the last, and 10 behind the last."""
    target = torch.full((len(labels), length), NULL)
    known = labels[:, :length]
    target[:, : known.shape[1]] = torch.where(known < 0, NULL, known)
    return target


def hold_out(numbers: Numbers, count: int, num_validation: int, seed: int) -> tuple[Numbers, Numbers]:
    """Training and validation numbers.

    Args:
        numbers: of them all.
        count: the first so many may be held out.
        num_validation: how many are.
        seed: of which.

    Raises:
        ValueError: if not one of those that may be held out is left for training.
    """
    if not 0 < num_validation < count:
        raise ValueError(f"expected num_validation above 0 and below {count}, got {num_validation}")
    generator = torch.Generator().manual_seed(derived_seed("split", seed))
    held_out, kept = torch.randperm(count, generator=generator).tensor_split([num_validation])
    kept = torch.cat([kept, torch.arange(count, len(numbers.chosen))])
    images, chosen, target = numbers
    return Numbers(images, chosen[kept], target[kept]), Numbers(images, chosen[held_out], target[held_out])


def mean_and_std(caches: Sequence[ImageCache], chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (C,) and standard deviation (C,) of the values, in [0, 1], of those images of caches that are chosen (N,)."""
    sums = torch.cat([cache.moments for cache in caches])[chosen].sum(0).double()
    pixels = len(chosen) * caches[0].images[0, 0].numel()
    mean, square = sums[0] / pixels / 255, sums[1] / pixels / 255**2
    return mean.float(), (square - mean**2).clamp(min=0).sqrt().float()
