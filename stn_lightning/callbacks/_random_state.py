"""Global generators of all processes in the checkpoint."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import distributed


class RandomState(Callback):
    """Keeps the global generators of every process in the checkpoint: PyTorch's (CPU, CUDA), NumPy's and Python's.

    A run that is resumed draws what the uninterrupted one would have: the same dropout, to the bit. Where another number of
    processes resumes it, each of them is seeded by (seed of ``seed_everything``, step, number of processes, its own number),
    and a line says so.
    """

    KEY = "random_state"

    def __init__(self) -> None:
        self._loaded: list[dict[str, Any]] | None = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[self.KEY] = of_each_rank(states(pl_module.device))

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._loaded = checkpoint.get(self.KEY)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loaded, self._loaded = self._loaded, None
        if loaded is None:
            return
        if len(loaded) == trainer.world_size:
            restore(loaded[trainer.global_rank], pl_module.device)
            return
        rank_zero_info(
            f"The checkpoint has the generators of {len(loaded)} process(es), and {trainer.world_size} go on with it: "
            "they are seeded anew"
        )
        entropy = [int(os.environ.get("PL_GLOBAL_SEED", 0)), trainer.global_step, trainer.world_size, trainer.global_rank]
        for seed, draw in zip(np.random.SeedSequence(entropy).generate_state(3).tolist(), SEEDS, strict=True):
            draw(seed)


SEEDS: tuple[Callable[[int], Any], ...] = (torch.manual_seed, np.random.seed, random.seed)


def of_each_rank(value: Any) -> list[Any]:
    """What each process has, on all of them; each has to call it."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [value]
    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


def states(device: torch.device) -> dict[str, Any]:
    """Those of this process, as plain data, that load under ``weights_only=True``."""
    name, keys, *rest = np.random.get_state(legacy=True)
    version, numbers, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "numpy": [str(name), torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "python": [version, torch.tensor(numbers), gauss],
        **({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {}),
    }


def restore(kept: dict[str, Any], device: torch.device) -> None:
    """Sets the generators of this process to what ``states`` gave."""
    torch.set_rng_state(kept["torch"])
    name, keys, *rest = kept["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    version, numbers, gauss = kept["python"]
    random.setstate((version, tuple(numbers.tolist()), gauss))
    if device.type == "cuda" and "cuda" in kept:
        torch.cuda.set_rng_state(kept["cuda"], device)
