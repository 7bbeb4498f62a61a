"""Where SVHN lies, and how it gets there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from stn_lightning.data._archives import fetch, unpack, verify
from stn_lightning.data._content import sync
from stn_lightning.data._svhn.digit_struct import read_digit_struct
from stn_lightning.data._svhn.reading import DIGIT_STRUCT, has_numbers


class Archive(NamedTuple):
    """An archive as published.

    Attributes:
        url: where it is.
        sha256: of the file; None where nobody states one: then what it holds is counted.
        images: how many it holds.
        digits: how many they show.
    """

    url: str
    sha256: str | None
    images: int
    digits: int


ARCHIVES: dict[str, Archive] = {
    "train": Archive(
        "http://ufldl.stanford.edu/housenumbers/train.tar.gz",
        "4b17bb33b6cd8f963493168f80143da956f28ec406cc12f8e5745a9f91a51898",
        33_402,
        73_257,
    ),
    "test": Archive(
        "http://ufldl.stanford.edu/housenumbers/test.tar.gz",
        "57ac9ceb530e4aa85b55d991be8fc49c695b3d71c6f6a88afea86549efde7fb5",
        13_068,
        26_032,
    ),
    "extra": Archive("http://ufldl.stanford.edu/housenumbers/extra.tar.gz", None, 202_353, 531_131),
}


def svhn_folders(root: str | Path, splits: Sequence[str]) -> dict[str, Path]:
    """``root/SVHN/split``, where each split (train, test, extra) lies as published.

    Raises:
        FileNotFoundError: naming all that are not there; says what to do.
    """
    home = Path(root).absolute() / "SVHN"
    folders = {split: home / split for split in splits}
    if missing := [split for split, folder in folders.items() if not has_numbers(folder)]:
        files = ", ".join(f"{split}/{DIGIT_STRUCT}" for split in missing)
        urls = ", ".join(ARCHIVES[split].url for split in missing)
        raise FileNotFoundError(
            f"no {files} in {home}: --data.download=true fetches what is missing; or fetch {urls}, `mkdir -p {home}`, and "
            f"unpack each with `tar -xzf FILE -C {home}`; or give another --data.root; "
            "--data.source=generated --data.extra=false needs no file"
        )
    return folders


def download(root: str | Path, splits: Sequence[str], archives: Mapping[str, Archive] = ARCHIVES) -> None:
    """Fetches SVHN into ``root/SVHN`` and verifies it; what lies there is not fetched again.

    Args:
        root: folder of data.
        splits: of ``train``, ``test`` and ``extra``.
        archives: what to fetch of each.

    Raises:
        ConnectionError: if an archive cannot be fetched.
        FileExistsError: if something else lies where it belongs.
        ValueError: if it is not the one that was published.
    """
    place = Path(root).absolute() / "SVHN"
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / ".lock"):
        for split in splits:
            if has_numbers(place / split):
                continue
            partial = place / f"{split}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            if (place / split).exists():
                raise FileExistsError(f"{place / split} has no {DIGIT_STRUCT}: remove the folder, and it is fetched anew")
            try:
                name = archives[split].url.rpartition("/")[2]
                advice = f"fetch it elsewhere and unpack it in {place}: `tar -xzf {name} -C {place}`"
                file = fetch(archives[split].url, partial, advice)
                _unpack(file, archives[split], split)
                (partial / split).rename(place / split)
                sync(place)
            finally:
                shutil.rmtree(partial, ignore_errors=True)


def _unpack(file: Path, archive: Archive, split: str) -> None:
    if archive.sha256 is not None:
        verify(file, archive.url, "sha256", archive.sha256)
    unpack(file, archive.url)
    if not has_numbers(file.parent / split):
        raise ValueError(f"expected {split}/{DIGIT_STRUCT} in {archive.url}, got none")
    if archive.sha256 is None:
        numbers = read_digit_struct(file.parent / split / DIGIT_STRUCT)
        counts = len(numbers), sum(len(number.boxes) for number in numbers)
        if counts != (archive.images, archive.digits):
            raise ValueError(
                f"{archive.url} is not the archive that was published: expected {archive.images} images of {archive.digits} "
                f"digits, got {counts[0]} of {counts[1]}"
            )
