"""Scenes with a digit somewhere, all of one class."""

from __future__ import annotations

import os
from typing import Any, NamedTuple, get_args

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from stn_lightning.data._batches import EvaluationBatches, Raw, TrainingBatches, place_of
from stn_lightning.data._distorted_digits import SIDE, Source, scaled
from stn_lightning.data._seeds import derived_seed
from stn_lightning.data._sources import Digits, download_mnist, read_embedded_digits, read_mnist

PATCH = 6
BRIGHTEST = 255


class Scenes(NamedTuple):
    """Images (N, 1, size, size) uint8, and the box of the digit's 28x28 image in each: (N, 4) left, top, right, bottom."""

    images: Tensor
    boxes: Tensor


class DigitScenes(LightningDataModule):
    """Scenes that show one handwritten digit each, all of one class, to be co-localised (Jaderberg et al. 2015, appendix A.2).

    The 28x28 image of a digit lies anywhere in an empty square, on whole pixels; ``patches`` random 6x6 crops of training
    digits of any class are added anywhere, and the sum is clamped: none is the paper's T, 16 its TC. The digits are of the
    test set, which an encoder trained on ``labelled`` has not seen: a choice of ours, which the paper leaves open.

    There is one set of scenes: what a model learns from, without boxes, it is tested on, for co-localisation finds what the
    images at hand have in common. A training batch is (images, elsewhere), one of evaluation (images, boxes, elsewhere):
    images (B, 1, size, size) in [0, 1]; elsewhere, a 28x28 window (B, 1, 28, 28) anywhere in each image, in training drawn
    anew at every step; boxes (B, 4), left, top, right, bottom in [-1, 1].

    Args:
        source: ``digits``, scikit-learn's embedded digits drawn at 28x28; or ``mnist``.
        digit: the class, 0 to 9.
        patches: crops of other digits in each scene.
        num_images: scenes; None for 100 of MNIST, the paper's number, 40 of the embedded digits.
        size: side of a scene in pixels, at least 28.
        root: folder of MNIST: the files lie in ``root/MNIST/raw``.
        download: fetch MNIST where it is missing.
        batch_size: scenes in a training batch of one process.
        seed: of the order of training; None for that of ``seed_everything``, or 0.
        evaluation_seed: of the scenes: the same for everybody with the same number.

    Attributes:
        labelled: the training digits, (N, 1, 28, 28) uint8, and their classes (N,), after ``setup``.

    Raises:
        ValueError: for an argument out of range; at setup, for a file that is not MNIST, or too few digits of the class.
        FileNotFoundError: at setup, if MNIST is not there.
    """

    labelled: Digits
    num_classes = 10

    def __init__(
        self,
        source: Source = "digits",
        digit: int = 0,
        patches: int = 0,
        num_images: int | None = None,
        size: int = 84,
        root: str = "data",
        download: bool = False,
        batch_size: int = 32,
        seed: int | None = None,
        evaluation_seed: int = 0,
    ) -> None:
        super().__init__()
        if source not in get_args(Source):
            raise ValueError(f"expected source one of {', '.join(get_args(Source))}; got {source!r}")
        if digit not in range(10):
            raise ValueError(f"expected digit from 0 to 9, got {digit}")
        if patches < 0 or size < SIDE:
            raise ValueError(f"expected patches of at least 0 and size of at least {SIDE}, got {patches=}, {size=}")
        self.num_images = {"digits": 40, "mnist": 100}[source] if num_images is None else num_images
        if not 2 <= batch_size <= self.num_images:
            raise ValueError(f"expected batch_size from 2 to num_images, {self.num_images}; got {batch_size}")
        self.source, self.root, self.download = source, root, download
        self.digit, self.patches, self.size, self.batch_size = digit, patches, size, batch_size
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", 0)) if seed is None else seed
        self.evaluation_seed = evaluation_seed
        self.input_shape = (1, size, size)
        self._scenes: Scenes | None = None

    def prepare_data(self) -> None:
        if self.source == "mnist" and self.download:
            download_mnist(self.root)

    def setup(self, stage: str | None = None) -> None:
        if self._scenes is not None:
            return
        splits = read_embedded_digits() if self.source == "digits" else read_mnist(self.root)
        self.labelled, tested = splits["train"], splits["test"]
        of_class = tested.images[tested.targets == self.digit]
        if len(of_class) < self.num_images:
            raise ValueError(
                f"expected num_images of at most {len(of_class)}, test digits {self.digit}; got {self.num_images}"
            )
        generator = torch.Generator().manual_seed(derived_seed("scenes", self.evaluation_seed, self.digit))
        chosen = of_class[torch.randperm(len(of_class), generator=generator)[: self.num_images]]
        self._scenes = _scenes(chosen, self.labelled.images, self.size, self.patches, generator)

    def train_dataloader(self) -> TrainingBatches:
        scenes = self._normalised()
        return TrainingBatches(scenes.images, scenes.boxes, self.batch_size, self.seed, *place_of(self))

    def val_dataloader(self) -> EvaluationBatches:
        scenes = self._normalised()
        return EvaluationBatches(scaled(scenes.images), scenes.boxes, self.num_images, *place_of(self))

    test_dataloader = predict_dataloader = val_dataloader

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Draws a window elsewhere in each image: by the seed of a training batch, in evaluation always the same."""
        if isinstance(batch, Raw):
            images = scaled(batch.image)
            return images, _elsewhere(images, batch.seed)
        images, boxes = batch
        return images, boxes, _elsewhere(images, derived_seed("elsewhere", self.evaluation_seed))

    def _normalised(self) -> Scenes:
        if self._scenes is None:
            raise ValueError("expected setup() before the batches are asked for")
        return self._scenes._replace(boxes=2 * self._scenes.boxes / self.size - 1)


def _scenes(digits: Tensor, others: Tensor, size: int, patches: int, generator: torch.Generator) -> Scenes:
    """Each digit (N, 1, 28, 28) in a scene of its own, with crops of others (M, 1, 28, 28)."""

    def draw(limit: int) -> int:
        return int(torch.randint(limit, (), generator=generator))

    def add(scene: Tensor, part: Tensor) -> tuple[int, int]:
        side = part.shape[-1]
        top, left = draw(size - side + 1), draw(size - side + 1)
        scene[:, top : top + side, left : left + side] += part
        return left, top

    images = torch.zeros(len(digits), 1, size, size, dtype=torch.int16)
    corners = []
    for scene, digit in zip(images, digits, strict=True):
        corners.append(add(scene, digit))
        for _ in range(patches):
            other, top, left = others[draw(len(others))], draw(SIDE - PATCH + 1), draw(SIDE - PATCH + 1)
            add(scene, other[:, top : top + PATCH, left : left + PATCH])
    corner = torch.tensor(corners)
    return Scenes(images.clamp(max=BRIGHTEST).to(torch.uint8), torch.cat([corner, corner + SIDE], dim=1))


def _elsewhere(images: Tensor, seed: int) -> Tensor:
    """A 28x28 window anywhere in each image (B, 1, size, size), on whole pixels."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.randint(images.shape[-1] - SIDE + 1, (len(images), 2), generator=generator).tolist()
    windows = [image[:, top : top + SIDE, left : left + SIDE] for image, (top, left) in zip(images, corners, strict=True)]
    return torch.stack(windows)
