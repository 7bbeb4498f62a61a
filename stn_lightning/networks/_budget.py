"""Networks of one size: the width that a budget of parameters allows."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn


def count_parameters(*modules: nn.Module) -> int:
    """Number of parameters, each counted once."""
    return sum(p.numel() for p in {p for module in modules for p in module.parameters()})


def widest(count: Callable[[int], int], budget: int) -> int:
    """The largest width whose count stays within the budget.

    Args:
        count: parameters of the network of a width; increasing.
        budget: the largest count allowed.

    Raises:
        ValueError: if even width 1 is above the budget.
    """
    least = count(1)
    if least > budget:
        raise ValueError(f"expected a budget of at least {least} parameters for this network, got {budget}")
    low, high = 1, 2
    while count(high) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= budget else (low, middle)
    return low
