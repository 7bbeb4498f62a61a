"""Batches that worker processes decode from files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from stn_lightning.data._epoch_order import EpochOrder, Resumable

Batch = TypeVar("Batch")
END = object()


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


class WorkerBatches(Generic[Batch]):
    """Batches of items that worker processes read; the workers start once and stay.

    What is read is a function of (epoch, item) alone, whatever the number of workers. Lightning leaves it as it is: which
    process has which items is the business of who asks. Nothing is drawn from the global generators.

    Args:
        read: makes an item of what is asked for; a ValueError reaches the caller as it is.
        collate: makes a batch of items.
        asks: what each batch is made of.
        num_workers: worker processes; 0 to read in this one.
        timeout: seconds in which workers have to bring something while a batch is waited for.

    Raises:
        ChildProcessError: from a batch, if a worker died.
        TimeoutError: from a batch, if the workers brought nothing; they are ended.
    """

    def __init__(
        self,
        read: Callable[[Ask], Any],
        collate: Callable[[Sequence[Any]], Batch],
        asks: Collection[list[Ask]],
        num_workers: int = 0,
        timeout: float = 120.0,
    ) -> None:
        self.asks, self.timeout = asks, timeout
        self._make = partial(
            DataLoader[Any],
            _Items(read),
            batch_sampler=asks,
            num_workers=num_workers,
            collate_fn=_Collate(collate),
            timeout=timeout if num_workers else 0,
            generator=torch.Generator(),
            persistent_workers=num_workers > 0,
        )
        self._loader = self._make()
        self._workers: list[BaseProcess] = []
        self._running: Generator[Batch, None, None] | None = None

    def __len__(self) -> int:
        return len(self.asks)

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
        self._kill()

    def _run(self) -> Generator[Batch, None, None]:
        with self._watched():
            batches = self._start()
        while True:
            with self._watched():
                batch: Any = next(batches, END)
            if batch is END:
                return
            if isinstance(batch, Failed):
                del batches
                self._loader = self._make()  # before the traceback holds what ends the workers
                raise ValueError(batch.message)
            yield batch

    def _start(self) -> Iterator[Any]:
        others = active_children()
        batches = iter(self._loader)
        self._workers += [process for process in active_children() if process not in others]
        return batches

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Says what became of the workers where torch does, and ends them: one that is stopped would outlive the program."""
        try:
            yield
        except RuntimeError as e:
            dead = [worker for worker in self._workers if worker.exitcode is not None]
            if not dead and "timed out" not in str(e):
                raise
            count = len(self._workers)
            self._kill()
            self._loader = self._make()
            if dead:
                code = dead[0].exitcode
                raise ChildProcessError(
                    f"a worker process that reads data died (exit code {code}); -9 is that of one that was killed, as where "
                    "memory is short: fewer num_workers need less"
                ) from e
            raise TimeoutError(
                f"the {count} worker process(es) that read data brought nothing in {self.timeout:g} s (worker_timeout): "
                "they are frozen, or their files on a storage that does not answer"
            ) from e

    def _kill(self) -> None:
        for _ in range(2):  # torch's handler of SIGCHLD raises once
            with suppress(RuntimeError):
                for worker in self._workers:
                    worker.kill()
                for worker in self._workers:
                    worker.join()
        self._workers.clear()


class TrainingWorkerBatches(Resumable, WorkerBatches[Batch]):
    """As its base class, in an order of every epoch's own. What workers read ahead does not count as seen.

    Args:
        read: makes an item of what is asked for; a ValueError reaches the caller as it is.
        collate: makes a batch of items.
        order: which items are in which batch.
        num_workers: worker processes; 0 to read in this one.
        timeout: seconds in which workers have to bring something while a batch is waited for.
    """

    batch_sampler = None  # Lightning looks at it wherever there is a sampler

    def __init__(
        self,
        read: Callable[[Ask], Any],
        collate: Callable[[Sequence[Any]], Batch],
        order: EpochOrder,
        num_workers: int = 0,
        timeout: float = 120.0,
    ) -> None:
        super().__init__(read, collate, _AsksOf(order), num_workers, timeout)
        self.order = order

    def _run(self) -> Generator[Batch, None, None]:
        for batch in super()._run():
            self.order.hand_out()
            yield batch


class _AsksOf(Collection[list[Ask]]):
    def __init__(self, order: EpochOrder) -> None:
        self.order = order

    def __len__(self) -> int:
        return len(self.order)

    def __contains__(self, asks: object) -> bool:
        return asks in list(self)

    def __iter__(self) -> Iterator[list[Ask]]:
        epoch = self.order.epoch
        for _, chosen in self.order.start():  # at the first batch: torch makes an iterator that it never uses
            yield [Ask(epoch, item) for item in chosen.tolist()]


def in_turn(count: int, batch_size: int, rank: int = 0, world_size: int = 1) -> list[list[Ask]]:
    """Items in their own order, of which each process asks for others.

    Args:
        count: number of items.
        batch_size: items in a batch of one process.
        rank: number of this process.
        world_size: number of processes.
    """
    asks = [Ask(0, item) for item in range(rank, count, world_size)]
    return [asks[start : start + batch_size] for start in range(0, len(asks), batch_size)]


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
