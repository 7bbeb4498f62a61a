"""Sets of digits as published, read into memory."""

from __future__ import annotations

import struct
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stn_lightning.data._bounds import MOST_MNIST

MNIST_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
TEST_DIGITS = 450
AGAIN = "delete it and fetch it again with --data.download=true"


class Published(NamedTuple):
    """Items of a file of MNIST, and the SHA-256 of it, unpacked."""

    items: int
    sha256: str


PUBLISHED = {
    "train-images-idx3-ubyte": Published(60_000, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train-labels-idx1-ubyte": Published(60_000, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte": Published(10_000, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte": Published(10_000, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}


class Digits(NamedTuple):
    """Images (N, 1, 28, 28) uint8 and classes (N,) int64."""

    images: Tensor
    targets: Tensor


def read_mnist(root: str | Path, without: str = "--data.source=digits") -> dict[str, Digits]:
    """MNIST as torchvision unpacks it, in ``root/MNIST/raw``: 60,000 training and 10,000 test images, or others.

    A file of as many items as the published one has its SHA-256; another, for tests, is taken as it is.

    Args:
        root: folder of data.
        without: the option that does without MNIST, for the message.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is not what its name says, or of over 60,000 items.
    """
    folder = Path(root).absolute() / "MNIST" / "raw"
    missing = [name for names in MNIST_FILES.values() for name in names if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"no MNIST in {folder}: {', '.join(missing)} missing. --data.download=true fetches it; or put the four files "
            f"there, unpacked, or give another --data.root; {without} needs no files"
        )
    return {split: _read_pair(folder / images, folder / labels) for split, (images, labels) in MNIST_FILES.items()}


def _read_pair(image_file: Path, label_file: Path) -> Digits:
    images, targets = _read(image_file, 3), _read(label_file, 1).long()
    if images.shape[1:] != (28, 28):
        raise ValueError(f"{image_file}: expected images of 28x28 pixels, got {tuple(images.shape[1:])}")
    if len(images) != len(targets) or not len(images):
        raise ValueError(f"expected a label for each image, got {len(images)} in {image_file}, {len(targets)} in {label_file}")
    if targets.max() > 9:
        raise ValueError(f"{label_file}: expected labels 0 to 9, got {int(targets.max())}")
    return Digits(images[:, None], targets)


def _read(file: Path, rank: int) -> Tensor:
    """The bytes of an idx file: a magic number that says type and rank, big-endian sizes, and as many bytes as they say."""
    start, size = 4 + 4 * rank, file.stat().st_size
    with file.open("rb") as stream:
        head = stream.read(start)
        magic, *shape = struct.unpack(f">{1 + rank}I", head.ljust(start, b"\0"))
        if magic != 0x800 + rank or size != start + prod(shape) or shape[0] > MOST_MNIST:
            raise ValueError(
                f"{file} is truncated or not an MNIST file ({size} bytes): expected magic number {0x800 + rank} and at most "
                f"{MOST_MNIST} items, got {magic} and sizes {shape}; {AGAIN}"
            )
        content = np.fromfile(stream, np.uint8).reshape(shape)
    if shape[0] == PUBLISHED[file.name].items:
        digest = sha256(head)
        digest.update(content.data)
        if digest.hexdigest() != PUBLISHED[file.name].sha256:
            raise ValueError(f"{file} has as many items as that of MNIST and others, or damaged ones; {AGAIN}")
    return torch.from_numpy(content)


def download_mnist(root: str | Path) -> None:
    """Fetches MNIST into ``root/MNIST/raw`` and verifies it; what lies there is not fetched again.

    Raises:
        ConnectionError: if it cannot be fetched.
    """
    from torchvision.datasets import MNIST

    try:
        MNIST(str(root), download=True)
    except (RuntimeError, OSError) as e:
        raise ConnectionError(
            f"MNIST could not be fetched into {Path(root).absolute()}: {e}. Put its four files, unpacked, into MNIST/raw there"
        ) from e


def read_embedded_digits() -> dict[str, Digits]:
    """scikit-learn's 1,797 handwritten digits, 8x8, drawn as MNIST is: 20x20 in the middle of 28x28.

    The last 450 are the test images: they are of other writers than most of the rest.

    Raises:
        ImportError: if scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits  # type: ignore[import-untyped, unused-ignore]
    except ImportError as e:
        raise ImportError("the embedded digits need scikit-learn: pip install 'stn-lightning[quickstart]'") from e
    bunch = load_digits()
    small = torch.from_numpy(bunch.images).float()[:, None] / 16
    images = F.pad(F.interpolate(small, size=(20, 20), mode="bilinear", align_corners=False), (4, 4, 4, 4))
    images, targets = (images * 255).round().to(torch.uint8), torch.from_numpy(bunch.target).long()
    return {
        "train": Digits(images[:-TEST_DIGITS], targets[:-TEST_DIGITS]),
        "test": Digits(images[-TEST_DIGITS:], targets[-TEST_DIGITS:]),
    }
