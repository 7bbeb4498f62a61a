"""Distorted handwritten digits."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from stn_lightning.data._made_anew import MadeAnew
from stn_lightning.data._seeds import derived_seed
from stn_lightning.data._sources import Digits, download_mnist, read_embedded_digits, read_mnist
from stn_lightning.distortions import Distortion, Recipe, recipe

Source = Literal["digits", "mnist"]
SIDE = 28
CHUNK = 1000


class DistortedDigits(MadeAnew):
    """Handwritten digits, distorted (the distorted MNIST of Jaderberg et al. 2015, section 4.1).

    Training images are distorted anew at every step, in batches, on the training device; validation and test images once.
    Images are (B, 1, H, W) in [0, 1], the background 0.

    Args:
        source: ``digits``, scikit-learn's embedded 8x8 digits drawn at 28x28 (1,347 for training and validation, 450 for
            test); or ``mnist`` (60,000 and 10,000).
        distortion: the set's name in the paper: ``R`` (rotated), ``RTS`` (rotated, scaled, translated), ``P`` (projective),
            ``E`` (elastic), ``TC`` (translated, cluttered) or ``none``; or any distortion.
        root: folder of MNIST: the files lie in ``root/MNIST/raw``.
        download: fetch MNIST where it is missing.
        batch_size: images in a batch of one process.
        num_validation: training images held out for validation; None for 5,000 of MNIST, 200 of the embedded digits.
        seed: of the order and distortion of training images; None for that of ``seed_everything``, or 0.
        evaluation_seed: of the choice of validation images, and of the distortion of validation and test images: the same for
            everybody with the same number.
        evaluation_distortion: that of validation and test images, to images of the same size; None for ``distortion``.

    Raises:
        ValueError: for an argument out of range; at setup, for a file that is not MNIST.
        FileNotFoundError: at setup, if MNIST is not there.
    """

    def __init__(
        self,
        source: Source = "digits",
        distortion: Recipe | Distortion = "R",
        root: str = "data",
        download: bool = False,
        batch_size: int = 256,
        num_validation: int | None = None,
        seed: int | None = None,
        evaluation_seed: int = 0,
        evaluation_distortion: Recipe | Distortion | None = None,
    ) -> None:
        super().__init__(batch_size, seed, evaluation_seed)
        if source not in get_args(Source):
            raise ValueError(f"expected source one of {', '.join(get_args(Source))}; got {source!r}")
        self.source = source
        self.distortion = _distortion("distortion", distortion)
        evaluated = distortion if evaluation_distortion is None else evaluation_distortion
        self.evaluation_distortion = _distortion("evaluation_distortion", evaluated)
        size, other = (d.output_size((SIDE, SIDE)) for d in (self.distortion, self.evaluation_distortion))
        if size != other:
            raise ValueError(f"expected an evaluation_distortion to images of {size}, as distortion makes them; got {other}")
        self.root = root
        self.download = download
        self.num_validation = num_validation if num_validation is not None else {"digits": 200, "mnist": 5000}[source]
        self._sets: dict[str, Digits] = {}

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return (1, *self.distortion.output_size((SIDE, SIDE)))

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return 10

    def prepare_data(self) -> None:
        if self.source == "mnist" and self.download:
            download_mnist(self.root)

    def setup(self, stage: str | None = None) -> None:
        if self._sets:
            return
        splits = read_embedded_digits() if self.source == "digits" else read_mnist(self.root)
        images, targets = splits["train"]
        if not 0 < self.num_validation < len(targets):
            raise ValueError(f"expected num_validation above 0 and below {len(targets)}, got {self.num_validation}")
        generator = torch.Generator().manual_seed(derived_seed("split", self.evaluation_seed))
        held_out, kept = torch.randperm(len(targets), generator=generator).tensor_split([self.num_validation])
        self._sets = {
            "train": Digits(images[kept], targets[kept]),
            "validation": Digits(images[held_out], targets[held_out]),
            "test": splits["test"],
        }

    def parts(self, split: str) -> Digits:
        return self._sets[split]

    def made(self, parts: Tensor, generator: torch.Generator) -> Tensor:
        return _distorted(parts, self.distortion, generator)

    def evaluated(self, split: str, generator: torch.Generator) -> Digits:
        images, targets = self.evaluated_parts(split, generator)
        chunks = [_distorted(chunk, self.evaluation_distortion, generator) for chunk in torch.split(images, CHUNK)]
        return Digits(torch.cat(chunks), targets)

    def evaluated_parts(self, split: str, generator: torch.Generator) -> Digits:
        """What the samples of ``validation`` or ``test`` are made of, and their targets."""
        return self.parts(split)


def scaled(images: Tensor) -> Tensor:
    """Images of uint8 as float32 in [0, 1]."""
    return images.float() / 255


def _distortion(argument: str, value: Recipe | Distortion) -> Distortion:
    if isinstance(value, Distortion):
        return value
    if value not in get_args(Recipe):
        raise ValueError(f"expected {argument} one of {', '.join(get_args(Recipe))}, or a Distortion; got {value!r}")
    return recipe(value)


def _distorted(images: Tensor, distortion: Distortion, generator: torch.Generator) -> Tensor:
    """Images (B, C, H, W) of uint8, each channel distorted in its own random way: (B, C, H', W')."""
    distorted: Tensor = distortion(scaled(images).flatten(0, 1)[:, None], generator)
    return distorted.view(*images.shape[:2], *distorted.shape[2:])
