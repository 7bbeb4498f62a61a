"""Batches of images that stay in files until a batch asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from stn_lightning.data._batches import EvaluationBatches, Named, Raw, TrainingBatches, check_share
from stn_lightning.data._content import in_order
from stn_lightning.data._image_cache import Item


class Images:
    """Images of several sets, numbered through; only those asked for are read.

    Args:
        parts: each (N, C, H, W), of one shape and type.
    """

    def __init__(self, *parts: Tensor) -> None:
        self.parts = parts

    def __getitem__(self, numbers: Tensor) -> Tensor:
        """The images (B, C, H, W) of numbers (B,)."""
        if len(self.parts) == 1:
            return self.parts[0][numbers]
        images = self.parts[0].new_empty(len(numbers), *self.parts[0].shape[1:])
        start = 0
        for part in self.parts:
            (here,) = torch.nonzero((start <= numbers) & (numbers < start + len(part)), as_tuple=True)
            images[here] = part[numbers[here] - start]
            start += len(part)
        return images


class LazyTrainingBatches(TrainingBatches):
    """As its base class, which sees but the numbers of images.

    Args:
        images: by number.
        numbers: (N,) of the training images.
        targets: (N, ...).
        batch_size: images in a batch of one process.
        seed: of the order and the distortions.
        rank: number of this process.
        world_size: number of processes.
    """

    def __init__(
        self, images: Images, numbers: Tensor, targets: Tensor, batch_size: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        super().__init__(numbers, targets, batch_size, seed, rank, world_size)
        self.source = images

    def __iter__(self) -> Iterator[Raw]:
        for raw in super().__iter__():
            yield raw._replace(image=self.source[raw.image])


class LazyEvaluationBatches(EvaluationBatches):
    """As its base class, which sees but the numbers of images.

    Args:
        images: by number.
        numbers: (N,) of the images.
        targets: (N, ...).
        batch_size: images in a batch of one process.
        rank: number of this process.
        world_size: number of processes.
    """

    def __init__(
        self, images: Images, numbers: Tensor, targets: Tensor, batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        super().__init__(numbers, targets, batch_size, rank, world_size)
        self.source = images

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for numbers, targets in super().__iter__():
            yield self.source[numbers], targets


class NamedBatches:
    """Images with their names, read when they are asked for; under several processes each is seen by one of them.

    Args:
        jobs: functions that each read an image.
        batch_size: images in a batch of one process.
        rank: number of this process.
        world_size: number of processes.

    Raises:
        ValueError: if there are fewer images than processes.
    """

    def __init__(self, jobs: Sequence[Callable[[], Item]], batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        check_share(len(jobs), world_size)
        self.jobs, self.batch_size = jobs[rank::world_size], batch_size

    def __len__(self) -> int:
        return -(-len(self.jobs) // self.batch_size)

    def __iter__(self) -> Iterator[Named]:
        items: list[Item] = []
        for item in in_order(self.jobs):
            items.append(item)
            if len(items) == self.batch_size:
                yield _named(items)
                items = []
        if items:
            yield _named(items)


def _named(items: Sequence[Item]) -> Named:
    return Named(torch.from_numpy(np.stack([item.image for item in items])), [item.name for item in items])
