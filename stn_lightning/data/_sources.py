"""Sets of digits as published, read into memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

MNIST_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
TEST_DIGITS = 450


class Digits(NamedTuple):
    """Images (N, 1, 28, 28) uint8 and classes (N,) int64."""

    images: Tensor
    targets: Tensor


def read_mnist(root: str | Path, without: str = "--data.source=digits") -> dict[str, Digits]:
    """MNIST as torchvision unpacks it, in ``root/MNIST/raw``: 60,000 training and 10,000 test images, or fewer.

    Args:
        root: folder of data.
        without: the option that does without MNIST, for the message.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is not what its name says.
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
    from torchvision.datasets.mnist import read_image_file, read_label_file

    images, targets = _read(read_image_file, image_file), _read(read_label_file, label_file)
    if images.shape[1:] != (28, 28):
        raise ValueError(f"{image_file}: expected images of 28x28 pixels, got {tuple(images.shape[1:])}")
    if len(images) != len(targets) or not len(images):
        raise ValueError(f"expected a label for each image, got {len(images)} in {image_file}, {len(targets)} in {label_file}")
    if targets.max() > 9:
        raise ValueError(f"{label_file}: expected labels 0 to 9, got {int(targets.max())}")
    return Digits(images[:, None], targets)


def _read(reader: Callable[[str], Tensor], file: Path) -> Tensor:
    try:
        return reader(str(file))
    except Exception as e:  # torchvision asserts, torch and numpy raise their own
        raise ValueError(
            f"{file} is truncated or not an MNIST file ({file.stat().st_size} bytes; {type(e).__name__}: {e}); delete it "
            f"and fetch it again with --data.download=true"
        ) from e


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
