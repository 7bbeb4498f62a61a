"""Items held out class by class."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from stn_lightning.data._seeds import derived_seed


def hold_out_by_class(targets: Tensor, counts: Sequence[int], seed: int) -> list[Tensor]:
    """Numbers of items for sets of given sizes and, last, those that are left; each in ascending order.

    Of each class a set has its share, rounded up or down.

    Args:
        targets: (N,) classes.
        counts: how many items each set has; together below N.
        seed: of which.
    """
    generator = torch.Generator().manual_seed(derived_seed("split", seed))
    place = torch.empty(len(targets), dtype=torch.float64)
    for target in sorted(set(targets.tolist())):
        (items,) = torch.nonzero(targets == target, as_tuple=True)
        start = 0.25 + 0.5 * torch.rand((), generator=generator, dtype=torch.float64)
        place[items[torch.randperm(len(items), generator=generator)]] = (
            torch.arange(len(items), dtype=torch.float64) + start
        ) / len(items)
    ends = list(accumulate(counts))
    return [part.sort().values for part in place.argsort(stable=True).tensor_split(ends)]
