"""House numbers, photographed or drawn."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from stn_lightning.data._batches import Named, Raw, place_of
from stn_lightning.data._distorted_digits import scaled
from stn_lightning.data._drawn.generated import DigitSource, draw, generated_folder
from stn_lightning.data._image_cache import ImageCache, Item, build
from stn_lightning.data._lazy_batches import LazyEvaluationBatches, LazyTrainingBatches, NamedBatches
from stn_lightning.data._number_sets import NULL, Numbers, hold_out, mean_and_std, select
from stn_lightning.data._parts import centre_crops, random_crops
from stn_lightning.data._svhn.files import download as download_svhn
from stn_lightning.data._svhn.files import svhn_folders
from stn_lightning.data._svhn.reading import crops, fingerprint, has_numbers, whole_images

Source = Literal["generated", "svhn"]
MOST_SIDE, MOST_ENLARGEMENT = 1024, 100.0
CROPS_VERSION = 1


class HouseNumbers(LightningDataModule):
    """House numbers of one to five digits: SVHN (Netzer et al. 2011), or drawn ones in its format.

    A crop is the box around all digits, enlarged and resized to a square. Training sees a random part of it, drawn anew at
    every step on the training device; validation, test and prediction its middle. Images are (B, 3, crop, crop) in [0, 1],
    targets (B, max_length): the digits, then 10. The first use decodes all images once into ``root/cache``.

    As the paper has it (Jaderberg et al. 2015, section 4.2): ``side=64, enlargement=1.3, crop=54``. The looser crops of 128
    pixels are ``side=128, enlargement=2.6, crop=108`` here: twice the window at twice the pixels, so that digits keep their
    size. The paper does not say how wide its window is.

    Args:
        source: ``generated``, drawn at first use; or ``svhn``: 33,402 training and 13,068 test images in ``root/SVHN``, as
            published.
        root: folder of all data.
        download: fetch SVHN or MNIST where it is missing.
        extra: train on SVHN's 202,353 further images too.
        digits: what generated numbers are made of: ``digits``, scikit-learn's embedded ones; or ``mnist``, which lies in
            ``root/MNIST/raw``.
        num_generated: generated training (and validation) images, and test images.
        side: side of the crops kept, in pixels, at most 1024.
        enlargement: factor of width and height of the box around the digits, above 0 and at most 100.
        crop: side of what the network sees, in pixels, at most ``side``.
        max_length: most digits of a number; longer ones are left out.
        batch_size: images in a batch of one process.
        num_validation: training images held out for validation; None for 5,000 of SVHN, 500 of generated ones.
        images: folder to predict: with a ``digitStruct.mat``, images and boxes as SVHN has them; without, each PNG, JPEG,
            BMP or WEBP file is a crop. None for the test images.
        seed: of the order and the random parts of training images; None for that of ``seed_everything``, or 0.
        evaluation_seed: of the choice of validation images, and of all generated images: the same for everybody with the
            same number.

    Raises:
        ValueError: for an argument out of range; at prepare_data, for a file that is damaged.
        FileNotFoundError: at prepare_data, for data that are not there.
        ConnectionError: at prepare_data, if they cannot be fetched.
    """

    def __init__(
        self,
        source: Source = "generated",
        root: str = "data",
        download: bool = False,
        extra: bool = False,
        digits: DigitSource = "digits",
        num_generated: tuple[int, int] = (4000, 1000),
        side: int = 64,
        enlargement: float = 1.3,
        crop: int = 54,
        max_length: int = 5,
        batch_size: int = 128,
        num_validation: int | None = None,
        images: str | None = None,
        seed: int | None = None,
        evaluation_seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value, known in (("source", source, get_args(Source)), ("digits", digits, get_args(DigitSource))):
            if value not in known:
                raise ValueError(f"expected {name} one of {', '.join(known)}; got {value!r}")
        num_validation = {"svhn": 5000, "generated": 500}[source] if num_validation is None else num_validation
        least = {
            "side": side,
            "crop": crop,
            "max_length": max_length,
            "batch_size": batch_size,
            "num_validation": num_validation,
        }
        if len(num_generated) != 2:
            raise ValueError(f"expected num_generated for training and test, got {num_generated}")
        for name, number in {**least, "num_generated": min(num_generated)}.items():
            if number < 1:
                raise ValueError(f"expected {name} of at least 1, got {number}")
        if not crop <= side <= MOST_SIDE:
            raise ValueError(f"expected crop <= side <= {MOST_SIDE}, got {crop=}, {side=}")
        if not 0 < enlargement <= MOST_ENLARGEMENT:
            raise ValueError(f"expected enlargement above 0 and at most {MOST_ENLARGEMENT}, got {enlargement}")
        if source == "generated" and num_validation >= num_generated[0]:
            raise ValueError(f"expected num_validation below {num_generated[0]} (num_generated), got {num_validation}")
        if extra and source != "svhn":
            raise ValueError(f"expected extra=false with source {source!r}: extra images are those of svhn")
        if evaluation_seed < 0 or (seed is not None and seed < 0):
            raise ValueError(f"expected seeds of at least 0, got {seed=}, {evaluation_seed=}")
        self.source, self.root, self.download, self.extra, self.digits = source, root, download, extra, digits
        self.num_generated = {"train": num_generated[0], "test": num_generated[1]}
        self.side, self.enlargement, self.crop, self.max_length = side, float(enlargement), crop, max_length
        self.batch_size, self.num_validation, self.images = batch_size, num_validation, images
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", 0)) if seed is None else seed
        self.evaluation_seed = evaluation_seed
        self._caches: dict[str, ImageCache] = {}
        self._sets: dict[str, Numbers] = {}

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return (3, self.crop, self.crop)

    @property
    def num_classes(self) -> int:
        """Number of digits, without the null character."""
        return NULL

    @property
    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean (3,) and standard deviation (3,) of the training images' values in [0, 1], known after setup to fit."""
        if "train" not in self._sets:
            raise ValueError("statistics are known after setup('fit')")
        return mean_and_std([self._caches[split] for split in self._splits("fit")], self._sets["train"].chosen)

    def prepare_data(self) -> None:
        splits = self._splits(self.trainer.state.fn if self.trainer is not None else None)
        if self.source == "generated":
            for split in splits:
                count = self.num_generated[split]
                draw(self.root, split, count, self.digits, self.evaluation_seed, self.download)
        else:
            if self.download:
                download_svhn(self.root, splits)
            svhn_folders(self.root, splits)
        for split in splits:
            self._cache(split, check=True)
        if self.images is not None:
            self._to_predict()  # finds out at once what is wrong with the folder

    def setup(self, stage: str | None = None) -> None:
        splits = self._splits(stage)
        for split in splits:
            if split not in self._caches:
                self._caches[split] = self._cache(split, check=False)
        if "train" in splits and "train" not in self._sets:
            numbers = self._select(self._splits("fit"))
            count = int((numbers.chosen < len(self._caches["train"].names)).sum())
            parts = hold_out(numbers, count, self.num_validation, self.evaluation_seed)
            self._sets["train"], self._sets["validation"] = parts
        if "test" in splits and "test" not in self._sets:
            self._sets["test"] = self._select(["test"])

    def train_dataloader(self) -> LazyTrainingBatches:
        return LazyTrainingBatches(*self._sets["train"], self.batch_size, self.seed, *place_of(self))

    def val_dataloader(self) -> LazyEvaluationBatches:
        return LazyEvaluationBatches(*self._sets["validation"], self.batch_size, *place_of(self))

    def test_dataloader(self) -> LazyEvaluationBatches:
        return LazyEvaluationBatches(*self._sets["test"], self.batch_size, *place_of(self))

    def predict_dataloader(self) -> NamedBatches:
        return NamedBatches(self._to_predict(), self.batch_size, *place_of(self))

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Takes the part of each image that the network sees, on the device where the batch now lies."""
        if isinstance(batch, Raw):
            generator = torch.Generator(batch.image.device).manual_seed(batch.seed)
            return scaled(random_crops(batch.image, self.crop, generator)), batch.target
        if isinstance(batch, Named):
            return Named(scaled(centre_crops(batch.image, self.crop)), batch.name)
        images, target = batch
        return scaled(centre_crops(images, self.crop)), target

    def _splits(self, stage: str | None) -> list[str]:
        training = ["train", "extra"] if self.extra else ["train"]
        tested = [] if stage == "predict" and self.images is not None else ["test"]
        return {None: [*training, "test"], "fit": training, "validate": training}.get(stage, tested)

    def _cache(self, split: str, check: bool) -> ImageCache:
        if self.source == "svhn":
            folder = svhn_folders(self.root, [split])[split]
        else:
            folder = generated_folder(self.root, split, self.num_generated[split], self.digits, self.evaluation_seed)
            if not has_numbers(folder):
                raise FileNotFoundError(f"no house numbers in {folder}: prepare_data draws them")
        key = {"numbers": fingerprint(folder), "side": self.side, "enlargement": self.enlargement, "version": CROPS_VERSION}
        read = partial(crops, folder, self.side, self.enlargement)
        return build(Path(self.root).absolute() / "cache", key, read, f"{self.source} house numbers, {split}", check)

    def _select(self, splits: Sequence[str]) -> Numbers:
        caches = [self._caches[split] for split in splits]
        numbers = select(caches, self.max_length)
        count = sum(len(cache.names) for cache in caches)
        if left_out := count - len(numbers.chosen):
            where = " and ".join(splits)
            rank_zero_info(f"{left_out} of {count} house numbers of {where} left out: they have over {self.max_length} digits")
        return numbers

    def _to_predict(self) -> Sequence[Callable[[], Item]]:
        if self.images is None:
            cache = self._caches["test"]
            return [partial(_cached, cache, i) for i in range(len(cache.names))]
        folder = Path(self.images)
        return crops(folder, self.side, self.enlargement) if has_numbers(folder) else whole_images(folder, self.side)


def _cached(cache: ImageCache, number: int) -> Item:
    return Item(cache.images[number].numpy(), (), cache.names[number])
