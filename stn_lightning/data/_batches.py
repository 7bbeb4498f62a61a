"""Batches of a set that lies in memory as tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from stn_lightning.data._epoch_order import EpochOrder, Resumable
from stn_lightning.data._seeds import derived_seed


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


def place_of(data: LightningDataModule) -> tuple[int, int]:
    """Number of this process, and of all, in the training that a data module is of; (0, 1) without one."""
    return (data.trainer.global_rank, data.trainer.world_size) if data.trainer is not None else (0, 1)


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


class TrainingBatches(Resumable):
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
        self.order = EpochOrder(len(targets), batch_size, seed, rank, world_size)
        self.images, self.targets = images, targets

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Raw]:
        order = self.order
        epoch = order.epoch
        for step, chosen in order.start():
            seed = derived_seed("distortion", order.seed, epoch, step, order.rank)
            order.hand_out()
            yield Raw(self.images[chosen], self.targets[chosen], seed)
