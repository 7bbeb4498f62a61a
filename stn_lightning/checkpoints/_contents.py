"""What a checkpoint may hold: no more, and of no other kinds, than what Lightning, or a file of weights alone, has."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

MOST_VALUES, MOST_LEVELS, HIGHEST_COUNT = 1_000_000, 50, 2**48
COUNTS = ("ready", "started", "processed", "completed")  # of Lightning's loops
PARTS: dict[str, type] = {
    "hyper_parameters": Mapping,
    "callbacks": Mapping,
    "loops": Mapping,
    "optimizer_states": list,
    "lr_schedulers": list,
    "pytorch-lightning_version": str,
    "epoch": int,
    "global_step": int,
}


def check_contents(checkpoint: Any) -> None:
    """Refuses what would take more memory or time than its file, and what no run writes.

    Args:
        checkpoint: plain data; an object that stands in several places counts in each.

    Raises:
        TypeError: for a part of another kind.
        ValueError: for a part of another size, number or version.
    """
    if not isinstance(checkpoint, Mapping):
        raise TypeError(f"expected a dictionary, got {type(checkpoint).__name__}")
    _check_extent(checkpoint)
    for name, kind in PARTS.items():
        if name in checkpoint and not isinstance(checkpoint[name], kind):
            raise TypeError(f"expected {name} to be a {kind.__name__}, got {type(checkpoint[name]).__name__}")
    weights = checkpoint.get("state_dict", checkpoint)
    if not isinstance(weights, Mapping) or not all(isinstance(name, str) for name in weights):
        raise TypeError("expected state_dict to hold weights by their names")
    for name, value in weights.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"expected weights in state_dict, got {name!r}, a {type(value).__name__}")
    version = checkpoint.get("pytorch-lightning_version", "2.0")
    if not re.match(r"[2-9]\.\d", version):
        raise ValueError(f"expected a checkpoint of Lightning 2 or newer, got one of {version!r:.40}")
    for name in ("epoch", "global_step"):
        _check_count(name, checkpoint.get(name, 0))
    _check_loops(checkpoint)
    for state in checkpoint.get("optimizer_states", []):
        _check_optimizer(state)


def _check_extent(checkpoint: Mapping[str, Any]) -> None:
    values, left = 0, [(checkpoint, "the checkpoint", 0)]
    while left:
        value, where, level = left.pop()
        values += 1
        if values > MOST_VALUES or level > MOST_LEVELS:
            raise ValueError(f"it holds more than {MOST_VALUES:,} values or {MOST_LEVELS} levels of them")
        if isinstance(value, Tensor):
            if value.layout is not torch.strided or value.is_meta:
                raise TypeError(f"expected plain tensors, got {where!r}")
            if value.numel() * value.element_size() > value.untyped_storage().nbytes():
                raise ValueError(f"{where} is larger than what is kept of it")
        elif isinstance(value, Mapping):
            left += [(item, str(key), level + 1) for key, item in value.items()]
        elif isinstance(value, list | tuple | set | frozenset):
            left += [(item, where, level + 1) for item in value]


def _check_loops(checkpoint: Mapping[str, Any]) -> None:
    loops = checkpoint.get("loops")
    if loops is None:
        return
    if not isinstance(loops.get("fit_loop"), Mapping):
        raise TypeError("expected loops to hold the fit_loop")
    for name, value in _leaves(loops):
        if name in COUNTS:
            _check_count(name, value)


def _leaves(value: Any, name: Any = "") -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, key)
    else:
        yield name, value


def _check_count(name: str, value: Any) -> None:
    if type(value) is not int or not 0 <= value <= HIGHEST_COUNT:
        raise ValueError(f"expected {name} to be a count, got {str(value)[:40]!r}")


def _check_optimizer(state: Any) -> None:
    groups = state.get("param_groups") if isinstance(state, Mapping) else None
    if not isinstance(groups, list) or not groups or not all(isinstance(group, Mapping) for group in groups):
        raise TypeError("expected optimizer_states to hold groups of parameters")
    for group in groups:
        rate = group.get("lr", 0.0)
        if not isinstance(rate, int | float | Tensor) or not math.isfinite(rate) or rate < 0:
            raise ValueError(f"expected a learning rate of at least 0 in optimizer_states, got {str(rate)[:40]!r}")
