"""Which training images each process sees in which batch of an epoch, and how far the epoch is."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from stn_lightning.data._seeds import derived_seed


class Progress(NamedTuple):
    """How far an epoch is, in images of all processes together.

    Attributes:
        epoch: which.
        seen: images that were handed out.
        last: those of them in the last batch.
        until: images that the epoch has, of the processes it began with.
        images: those of the set.
    """

    epoch: int
    seen: int
    last: int
    until: int
    images: int


class EpochOrder:
    """Parts an epoch, whose order is drawn anew, among processes; the incomplete last batch is left out.

    The order is a function of (seed, epoch) alone, and the batches of all processes together are its next part. So what was
    seen is its beginning, and an epoch goes on with any number of processes: they part what is left, each image once, and
    their last batch is smaller where it does not come out even. Left out is then, of what the epoch began with, at most what
    is less than an image for each process, or exceeds the batches that an epoch of so many processes has.

    Args:
        count: images.
        batch_size: images in a batch of one process.
        seed: of the order.
        rank: number of this process.
        world_size: number of processes; together they see each image once an epoch.

    Raises:
        ValueError: if there are fewer images than a batch of each process needs.
    """

    def __init__(self, count: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.together = batch_size * world_size
        if count < self.together:
            raise ValueError(
                f"expected at least {self.together} training images ({world_size} process(es) x batch_size {batch_size}), "
                f"got {count}"
            )
        self.count, self.seed, self.rank, self.world_size = count, seed, rank, world_size
        self.epoch = 0
        self._progress = self._beginning()
        self._resumes = False

    def _beginning(self) -> Progress:
        return Progress(self.epoch, 0, 0, len(self) * self.together, self.count)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of an epoch; Lightning calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count // self.together

    @property
    def behind(self) -> int:
        """Batches of each process that lie behind, counted from the end: as many as are left are missing to ``len``."""
        whole, rest = divmod(self._progress.until - self._progress.seen, self.together)
        return len(self) - min(whole + (rest >= self.world_size), len(self))

    def start(self) -> list[tuple[int, Tensor]]:
        """Begins the epoch, or goes on with it where its state was loaded: number and images (B,) of each batch to come."""
        if not (self._resumes and self._progress.epoch == self.epoch):
            self._progress = self._beginning()
        self._resumes = False
        generator = torch.Generator().manual_seed(derived_seed("order", self.seed, self.epoch))
        left = torch.randperm(self.count, generator=generator)[self._progress.seen : self._progress.until]
        parts = torch.split(left, self.together)
        return [(i, part[self.rank :: self.world_size]) for i, part in zip(range(self.behind, len(self)), parts, strict=False)]

    def hand_out(self) -> None:
        """Counts a batch."""
        last = min(self.together, self._progress.until - self._progress.seen)
        self._progress = self._progress._replace(seen=self._progress.seen + last, last=last)

    def state_dict(self) -> dict[str, int]:
        """How far the epoch is; the same on all processes."""
        return self._progress._asdict()

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Goes on with the epoch of the state, when it is started next; another epoch starts from its beginning.

        Raises:
            ValueError: if the state is of a set of another size.
        """
        progress = Progress(**state_dict)
        if progress.images != self.count:
            raise ValueError(
                f"expected {progress.images} training images: the checkpoint is of the middle of an epoch of so many; "
                f"got {self.count}"
            )
        self._progress, self._resumes = progress, True


class Resumable:
    """What makes batches in an ``order`` resumable: Lightning asks them for their state, and gives it back."""

    order: EpochOrder

    @property
    def sampler(self) -> EpochOrder:
        """Where Lightning looks for ``set_epoch``."""
        return self.order

    @property
    def behind(self) -> int:
        """Batches of this process that lie behind."""
        return self.order.behind

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of an epoch, and what is by chance in it; Lightning calls it."""
        self.order.set_epoch(epoch)

    def state_dict(self) -> dict[str, int]:
        """How far the epoch is."""
        return self.order.state_dict()

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Goes on with the epoch of the state."""
        self.order.load_state_dict(state_dict)
