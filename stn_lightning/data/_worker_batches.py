"""Batches that worker processes decode from files."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from stn_lightning.data._batches import derived_seed

Batch = TypeVar("Batch")


class Ask(NamedTuple):
    """What a worker is asked for.

    Attributes:
        epoch: in which.
        item: its number.
    """

    epoch: int
    item: int


class Failed(NamedTuple):
    """Why an item could not be read."""

    message: str


class Order(Sampler[Ask]):
    """In which order items are asked for; under several processes each item is asked for by one of them.

    Args:
        count: number of items.
        seed: of an order drawn anew for every epoch, of which each process has as many items; None for their own order.
        batch_size: images in a batch of one process; in training an incomplete last batch is left out.
        rank: number of this process.
        world_size: number of processes.

    Raises:
        ValueError: if there are fewer training images than a batch of each process needs.
    """

    def __init__(self, count: int, seed: int | None, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        if seed is not None and count < batch_size * world_size:
            raise ValueError(
                f"expected at least {batch_size * world_size} training images ({world_size} process(es) x batch_size "
                f"{batch_size}), got {count}"
            )
        self.count, self.seed, self.batch_size, self.rank, self.world_size = count, seed, batch_size, rank, world_size
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of an epoch, and what is by chance in its items; Lightning calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        if self.seed is None:
            return len(range(self.rank, self.count, self.world_size))
        return self.count // (self.batch_size * self.world_size) * self.batch_size

    def __iter__(self) -> Iterator[Ask]:
        order = torch.arange(self.count)
        if self.seed is not None:
            generator = torch.Generator().manual_seed(derived_seed("order", self.seed, self.epoch))
            order = torch.randperm(self.count, generator=generator)
        epoch = self.epoch
        return (Ask(epoch, index) for index in order[self.rank :: self.world_size][: len(self)].tolist())


class WorkerBatches(Generic[Batch]):
    """Batches of items that worker processes read; the workers start once and stay.

    What is read is a function of (epoch, item) alone, whatever the number of workers. Lightning leaves it as it is: which
    process has which items is the order's business.

    Args:
        read: makes an item of what is asked for; a ValueError reaches the caller as it is.
        collate: makes a batch of items.
        order: of the items.
        batch_size: items in a batch.
        num_workers: worker processes; 0 to read in this one.
    """

    def __init__(
        self,
        read: Callable[[Ask], Any],
        collate: Callable[[Sequence[Any]], Batch],
        order: Order,
        batch_size: int,
        num_workers: int = 0,
    ) -> None:
        self.order, self.batch_size = order, batch_size
        self._make = partial(
            DataLoader[Any],
            _Items(read),
            batch_size,
            sampler=order,
            num_workers=num_workers,
            collate_fn=_Collate(collate),
            persistent_workers=num_workers > 0,
        )
        self._loader = self._make()
        self._running: Generator[Batch, None, None] | None = None

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        self._running = self._run()
        return self._running

    def close(self) -> None:
        """Ends the workers; those of a later epoch start anew.

        Where nobody does, the end of the program does, or the garbage collector, for which torch waits ten seconds.
        """
        if self._running is not None:
            self._running.close()
        self._loader = self._make()

    def _run(self) -> Generator[Batch, None, None]:
        failed = None
        for batch in self._loader:
            if isinstance(batch, Failed):
                failed = batch
                break
            yield batch
        if failed is not None:
            self._loader = self._make()  # before the traceback holds what ends the workers
            raise ValueError(failed.message)


class TrainingWorkerBatches(WorkerBatches[Batch]):
    """As its base class, in an order of every epoch's own."""

    batch_sampler = None  # Lightning looks at it wherever there is a sampler

    @property
    def sampler(self) -> Order:
        """Where Lightning looks for ``set_epoch``."""
        return self.order


class _Items(Dataset[Any]):
    def __init__(self, read: Callable[[Ask], Any]) -> None:
        self.read = read

    def __getitem__(self, ask: Ask) -> Any:
        try:
            return self.read(ask)
        except ValueError as e:  # torch would put the traceback of the worker into the message
            return Failed(str(e))


class _Collate:
    def __init__(self, collate: Callable[[Sequence[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, items: Sequence[Any]) -> Any:
        failed = next((item for item in items if isinstance(item, Failed)), None)
        return self.collate(items) if failed is None else failed
