"""The images that a classifier finds hard, as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from stn_lightning.callbacks._pictures import captions, cells_of, panel
from stn_lightning.callbacks._validation import PictureCallback
from stn_lightning.networks import Output
from stn_lightning.spatial_transformer import Warped


class _Sample(NamedTuple):
    """One image, with its loss and what became of it."""

    loss: float
    image: Tensor
    target: int
    predicted: int
    warps: dict[str, Warped]


class HardSamples(PictureCallback):
    """TensorBoard pictures of the validation images of the highest loss, and of the first that are classified wrong.

    Each column shows an image, with the outline of the sampling grid and its output for each spatial transformer, under its
    caption ``target>predicted``. The tags are ``hardest/NAME`` and ``wrong/NAME``; without a transformer, ``hardest/input``.

    Args:
        num_images: columns of a picture.
        side: height and width of each cell, in pixels.
    """

    def __init__(self, num_images: int = 8, side: int = 84) -> None:
        super().__init__(num_images, side)
        self._hardest: list[_Sample] = []
        self._wrong: list[_Sample] = []

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._hardest, self._wrong = [], []

    def see(self, trainer: Trainer, images: Tensor, targets: Tensor, output: Output, batch_idx: int) -> None:
        losses = F.cross_entropy(output.prediction.float(), targets, reduction="none")
        predicted = output.prediction.argmax(1)

        def samples(chosen: Tensor) -> list[_Sample]:
            return [
                _Sample(
                    float(losses[i]),
                    images[i].cpu(),
                    int(targets[i]),
                    int(predicted[i]),
                    {name: Warped(*(part[i : i + 1].cpu() for part in w)) for name, w in output.warps.items()},
                )
                for i in chosen.tolist()
            ]

        hardest = samples(losses.topk(min(self.num_images, len(losses))).indices)
        self._hardest = sorted([*self._hardest, *hardest], key=lambda s: -s.loss)[: self.num_images]
        missing = self.num_images - len(self._wrong)
        self._wrong += samples((predicted != targets).nonzero().flatten()[:missing])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for writer in self.writers(trainer):
            for title, samples in (("hardest", self._hardest), ("wrong", self._wrong)):
                for name, picture in self._pictures(samples).items():
                    writer.add_image(f"{title}/{name}", picture, trainer.global_step)

    def _pictures(self, samples: Sequence[_Sample]) -> dict[str, Tensor]:
        if not samples:
            return {}
        images = torch.stack([s.image for s in samples])
        heading = captions([f"{s.target}>{s.predicted}" for s in samples], self.side)
        pictures = {
            name: panel(images, Warped(*map(torch.cat, zip(*(s.warps[name] for s in samples), strict=True))), self.side)
            for name in samples[0].warps
        } or {"input": cells_of(images, self.side)}
        return {name: torch.cat([heading, picture], dim=1) for name, picture in pictures.items()}
