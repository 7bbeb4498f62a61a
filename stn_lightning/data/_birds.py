"""Birds, photographed or drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import NDArray

from stn_lightning.data._batches import Named
from stn_lightning.data._by_class import hold_out_by_class
from stn_lightning.data._cub import published
from stn_lightning.data._cub.annotated import Annotated, AnnotatedImages, stacked
from stn_lightning.data._cub.reading import CLASSES, check_images, read_birds, read_names
from stn_lightning.data._cub.reading import Birds as Set
from stn_lightning.data._drawn_birds.generated import MOST_CLASSES, draw, generated_folder
from stn_lightning.data._photographs import Photographs, usual_resize
from stn_lightning.data._views import Framing
from stn_lightning.data._worker_batches import WorkerBatches

Source = Literal["generated", "cub"]
GROUPS = {
    "head": ("beak", "crown", "forehead", "left eye", "nape", "right eye", "throat"),
    "body": ("back", "belly", "breast", "left wing", "right wing"),
}


class Birds(Photographs):
    """Birds of classes that differ in small parts: CUB-200-2011 (Wah et al. 2011), or drawn ones in its layout.

    An image is resized so that its smallest side is ``resize``. Training sees a random square of it, mirrored one time in
    two; validation, test and prediction its middle. Worker processes decode the images; what they make is a function of
    (seed, epoch, index) alone.

    Batches have ``image`` (B, 3, size, size) in [0, 1], ``target`` (B,), ``parts`` (B, P, 3): x, y and 1 where the part is
    visible in the square, else zeros; and ``box`` (B, 4): left, top, right, bottom. Coordinates are those of the square,
    whose edges are -1 and 1. In a mirror, a left eye or wing becomes the right one. Batches to predict have ``image`` and
    ``name``. CUB's coordinates are read as distances from the outer corner of the first pixel; its authors do not say, and
    the half pixel is less than the annotators' error.

    As the paper has it (Jaderberg et al. 2015, section 4.3): ``source=cub`` and a square of 224 of 256 pixels; for its 448
    pixels ``size=448``, of 512 pixels here: it does not say. It has no validation set either; ``num_validation`` is ours.

    Args:
        source: ``generated``, drawn at first use; or ``cub``: 5,994 training and 5,794 test images in
            ``root/CUB_200_2011``, as published.
        root: folder of all data.
        download: fetch CUB-200-2011 where it is missing.
        size: side of what the network sees, in pixels.
        resize: smallest side of the resized image, in pixels; None for 256 of a size of 224, and in proportion.
        random_crop: whether the square is at a random place in training; else it is in the middle.
        flip: whether half of the training images are mirrored.
        classes: of generated images: 2 to 576.
        images_per_class: generated training (and validation) images, and test images, of each class.
        side: of generated images, in pixels, 32 to 1024; None for ``resize``.
        batch_size: images in a batch of one process.
        num_workers: processes that decode images, for each of training, validation and so on; 0 to decode in the main one.
        num_validation: training images held out for validation, class by class; None for 600 of CUB, a tenth of generated
            ones.
        images: folder of PNG, JPEG, BMP or WEBP files to predict; None for the test images.
        seed: of the order and the random squares of training images; None for that of ``seed_everything``, or 0.
        evaluation_seed: of the choice of validation images, and of all generated images: the same for everybody with the
            same number.
        worker_timeout: seconds in which the worker processes have to bring something while a batch is waited for; frozen
            ones, which do not, are ended.

    Raises:
        ValueError: for an argument out of range; at prepare_data and setup, for lists that are damaged or disagree; from a
            batch, for an image that is damaged.
        ChildProcessError: from a batch, if a worker died.
        TimeoutError: from a batch, if the workers brought nothing in time.
        FileNotFoundError: at prepare_data, for data that are not there.
        ConnectionError: at prepare_data, if they cannot be fetched.
    """

    def __init__(
        self,
        source: Source = "generated",
        root: str = "data",
        download: bool = False,
        size: int = 224,
        resize: int | None = None,
        random_crop: bool = True,
        flip: bool = True,
        classes: int = 20,
        images_per_class: tuple[int, int] = (100, 30),
        side: int | None = None,
        batch_size: int = 32,
        num_workers: int = 2,
        num_validation: int | None = None,
        images: str | None = None,
        seed: int | None = None,
        evaluation_seed: int = 0,
        worker_timeout: float = 120.0,
    ) -> None:
        if source not in get_args(Source):
            raise ValueError(f"expected source one of {', '.join(get_args(Source))}; got {source!r}")
        framing = Framing(size, usual_resize(size, resize), random_crop=random_crop, flip=flip)
        super().__init__(framing, batch_size, num_workers, images, seed, evaluation_seed, worker_timeout)
        if len(images_per_class) != 2 or min(images_per_class) < 1:
            raise ValueError(f"expected images_per_class of at least 1 for training and test, got {images_per_class}")
        if not 2 <= classes <= MOST_CLASSES:
            raise ValueError(f"expected classes from 2 to {MOST_CLASSES}, got {classes}")
        self.side = framing.resize if side is None else side
        if source == "generated" and not 32 <= self.side <= 1024:
            raise ValueError(f"expected side (of generated images) from 32 to 1024, got {self.side}")
        if num_validation is not None and num_validation < 1:
            raise ValueError(f"expected num_validation of at least 1, got {num_validation}")
        self.source, self.root, self.download, self.num_validation = source, root, download, num_validation
        self.classes, self.images_per_class = classes, (images_per_class[0], images_per_class[1])
        self._set: Set | None = None
        self._chosen: dict[str, NDArray[np.int64]] = {}

    @property
    def num_classes(self) -> int:
        """Number of classes: those of ``classes.txt`` where it is there, else 200 of CUB."""
        if self._set is not None:
            return len(self._set.class_names)
        if self.source == "generated":
            return self.classes
        file = Path(self.root).absolute() / published.NAME / CLASSES
        return len(read_names(file)) if file.is_file() else published.PUBLISHED.classes

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, known after setup."""
        return self._known().class_names

    @property
    def part_names(self) -> list[str]:
        """Names of the parts, known after setup."""
        return self._known().part_names

    @property
    def groups(self) -> dict[str, list[int]]:
        """Numbers of the parts of ``head`` and ``body``, known after setup."""
        names = self.part_names
        return {group: [names.index(name) for name in members if name in names] for group, members in GROUPS.items()}

    def prepare_data(self) -> None:
        if self.source == "generated":
            draw(self.root, self.classes, self.images_per_class, self.side, self.evaluation_seed)
        elif self.download:
            published.download(self.root)
        check_images(self._read())

    def setup(self, stage: str | None = None) -> None:
        if self._set is not None:
            return
        birds = self._read()
        (training,), (test,) = np.nonzero(birds.training), np.nonzero(~birds.training)
        if not len(test):
            raise ValueError(f"{birds.folder}: expected test images, got none")
        usual = 600 if self.source == "cub" else max(1, len(training) // 10)
        number = usual if self.num_validation is None else self.num_validation
        if number >= len(training):
            raise ValueError(f"expected num_validation below {len(training)}, the training images, got {number}")
        targets = torch.from_numpy(birds.targets[training])
        validation, kept = hold_out_by_class(targets, [number], self.evaluation_seed)
        self._set = birds
        self._chosen = {"train": training[kept.numpy()], "validation": training[validation.numpy()], "test": test}

    def train_dataloader(self) -> WorkerBatches[Annotated]:
        return self._batches("train", self.seed)

    def val_dataloader(self) -> WorkerBatches[Annotated]:
        return self._batches("validation")

    def test_dataloader(self) -> WorkerBatches[Annotated]:
        return self._batches("test")

    def predict_dataloader(self) -> WorkerBatches[Named]:
        birds = self._known()
        names = [birds.names[i] for i in self._chosen["test"]]
        return self.batches_to_predict([birds.folder / "images" / name for name in names], names)

    def _batches(self, split: str, seed: int | None = None) -> WorkerBatches[Annotated]:
        images = AnnotatedImages(self._known(), self._chosen[split], self.framing, seed)
        return self.batches(images, stacked, len(self._chosen[split]), seed)

    def _known(self) -> Set:
        if self._set is None:
            raise ValueError("the set is known after setup")
        return self._set

    def _read(self) -> Set:
        if self.source == "generated":
            folder = generated_folder(self.root, self.classes, self.images_per_class, self.side, self.evaluation_seed)
            if not folder.is_dir():
                raise FileNotFoundError(f"no birds in {folder}: prepare_data draws them")
            return read_birds(folder)
        birds = read_birds(published.cub_folder(self.root))
        published.check_counts(birds)
        if len(birds.class_names) != published.PUBLISHED.classes:
            rank_zero_info(
                f"{birds.folder}: {len(birds.names)} images of {len(birds.class_names)} classes, not those published"
            )
        return birds
