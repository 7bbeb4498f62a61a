"""The images that a task finds hard, as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from stn_lightning.callbacks._drawing import cells, row, stacked
from stn_lightning.callbacks._pictures import warp_pictures
from stn_lightning.callbacks._text import captions
from stn_lightning.callbacks._validation import PictureCallback, Seen
from stn_lightning.networks import INPUT, Output
from stn_lightning.spatial_transformer import Warped
from stn_lightning.tasks import Task

LETTER = 6  # width in pixels that a legible one needs


class _Sample(NamedTuple):
    """One image, with its loss and what became of it."""

    loss: float
    image: Tensor
    target: str
    predicted: str
    warps: dict[str, Warped]


class HardSamples(PictureCallback):
    """TensorBoard pictures of the validation images of the highest loss, and of the first that are predicted wrong.

    Each column shows an image, with the outline of the sampling grid and its output for each spatial transformer, under its
    caption ``target>predicted``, in two lines where it is long. The tags are ``hardest/NAME`` and ``wrong/NAME``, as those of
    ``WarpPictures``: parallel transformers have one picture together; without a transformer, ``hardest/input``. A task says
    by ``judge`` what is hard and what is wrong.

    Args:
        num_images: columns of a picture.
        side: height and width of each cell, in pixels.

    Raises:
        ValueError: at setup, for a module that is no ``Task``.
    """

    def __init__(self, num_images: int = 8, side: int = 84) -> None:
        super().__init__(num_images, side)
        self._hardest: list[_Sample] = []
        self._wrong: list[_Sample] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        _task(pl_module)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._hardest, self._wrong = [], []

    def see(self, trainer: Trainer, pl_module: LightningModule, batch: Seen) -> None:
        verdict = _task(pl_module).judge(batch.output, batch.targets)
        losses = verdict.loss.detach().float()

        def samples(chosen: Tensor) -> list[_Sample]:
            return [
                _Sample(
                    float(losses[i]),
                    batch.images[i].cpu().clone(),  # a view would keep the whole batch
                    verdict.target[i],
                    verdict.predicted[i],
                    warps_of(batch.output, i),
                )
                for i in chosen.tolist()
            ]

        hardest = samples(losses.topk(min(self.num_images, len(losses))).indices)
        self._hardest = sorted([*self._hardest, *hardest], key=lambda s: -s.loss)[: self.num_images]
        missing = self.num_images - len(self._wrong)
        self._wrong += samples((~verdict.right).nonzero().flatten()[:missing])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for writer in self.writers(trainer):
            for title, samples in (("hardest", self._hardest), ("wrong", self._wrong)):
                for name, picture in self._pictures(samples).items():
                    writer.add_image(f"{title}/{name}", picture, trainer.global_step)

    def _pictures(self, samples: Sequence[_Sample]) -> dict[str, Tensor]:
        if not samples:
            return {}
        images = torch.stack([s.image for s in samples])
        texts = [f"{s.target}>{s.predicted}" for s in samples]
        lines = [texts]
        if max(map(len, texts)) * LETTER > self.side:
            lines = [[s.target for s in samples], [f">{s.predicted}" for s in samples]]
        heading = stacked(captions(line, self.side) for line in lines)
        pictures = warp_pictures(images, joined([s.warps for s in samples]), self.side)
        pictures = pictures or {INPUT: row(cells(images, self.side))}
        return {name: stacked([heading, picture]) for name, picture in pictures.items()}


def warps_of(output: Output, i: int) -> dict[str, Warped]:
    """What became of the i-th image of a batch, as a batch of one on the CPU that keeps nothing of the others."""
    return {name: Warped(*(part[i : i + 1].detach().cpu().clone() for part in w)) for name, w in output.warps.items()}


def joined(warps: Sequence[dict[str, Warped]]) -> dict[str, Warped]:
    """Warps of batches as those of one batch."""
    return {name: Warped(*map(torch.cat, zip(*(each[name] for each in warps), strict=True))) for name in warps[0]}


def _task(module: LightningModule) -> Task:
    if not isinstance(module, Task):
        raise ValueError(f"HardSamples: expected a Task, which can judge an output; got {type(module).__name__}")
    return module
