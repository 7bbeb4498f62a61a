"""Batches of a set that lies in memory as tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Raw(NamedTuple):
    """A training batch before its distortion.

    Attributes:
        image: (B, C, H, W) uint8.
        target: (B,) classes.
        seed: seed of the distortion, a function of (seed, epoch, step, rank).
    """

    image: Tensor
    target: Tensor
    seed: int


class Named(NamedTuple):
    """A batch to predict.

    Attributes:
        image: (B, C, H, W).
        name: name of the file of each image.
    """

    image: Tensor
    name: list[str]


def derived_seed(purpose: str, *key: int) -> int:
    """A 63-bit seed that is a function of its purpose and key; different ones give independent streams.

    Args:
        purpose: what the numbers are for.
        key: non-negative numbers, such as seed, epoch, step and rank.
    """
    # SeedSequence pads with zeros: without the length, (0,) and (0, 0) would be one key
    entropy = [int.from_bytes(purpose.encode(), "big"), len(key), *key]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)


def check_share(count: int, world_size: int) -> None:
    """Refuses fewer images than processes: one without any could not take part in what the others reduce.

    Raises:
        ValueError: naming both.
    """
    if count < world_size:
        raise ValueError(f"expected at least an image for each of {world_size} processes, got {count}: use fewer devices")


class EvaluationBatches:
    """Slices of images and targets, in order; under several processes each image is seen by one of them.

    Args:
        images: (N, C, H, W).
        targets: (N,).
        batch_size: images in a batch of one process.
        rank: number of this process.
        world_size: number of processes.

    Raises:
        ValueError: if there are fewer images than processes.
    """

    def __init__(self, images: Tensor, targets: Tensor, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        check_share(len(targets), world_size)
        self.images, self.targets = images[rank::world_size], targets[rank::world_size]
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.targets) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(torch.split(self.images, self.batch_size), torch.split(self.targets, self.batch_size), strict=True)


class TrainingBatches:
    """Batches in an order drawn anew for every epoch; the incomplete last batch of an epoch is left out.

    Order and distortion seeds are functions of (seed, epoch, step, rank) alone, so that a resumed run goes on as an
    uninterrupted one would have.

    Args:
        images: (N, C, H, W) uint8.
        targets: (N,).
        batch_size: images in a batch of one process.
        seed: of the order and the distortions.
        rank: number of this process.
        world_size: number of processes; together they see each image once an epoch.

    Raises:
        ValueError: if there are fewer images than a batch of each process needs.
    """

    def __init__(
        self, images: Tensor, targets: Tensor, batch_size: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        if len(targets) < batch_size * world_size:
            raise ValueError(
                f"expected at least {batch_size * world_size} training images ({world_size} process(es) x batch_size "
                f"{batch_size}), got {len(targets)}"
            )
        self.images, self.targets = images, targets
        self.batch_size, self.seed, self.rank, self.world_size = batch_size, seed, rank, world_size
        self.epoch = 0

    @property
    def sampler(self) -> TrainingBatches:
        """Where Lightning looks for ``set_epoch``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order and the distortions of an epoch; Lightning calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.targets) // (self.batch_size * self.world_size)

    def __iter__(self) -> Iterator[Raw]:
        epoch = self.epoch
        generator = torch.Generator().manual_seed(derived_seed("order", self.seed, epoch))
        order = torch.randperm(len(self.targets), generator=generator)[self.rank :: self.world_size]
        for step in range(len(self)):
            chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
            seed = derived_seed("distortion", self.seed, epoch, step, self.rank)
            yield Raw(self.images[chosen], self.targets[chosen], seed)
