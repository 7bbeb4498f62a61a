"""CUB-200-2011 as published: where it lies, how it gets there, how much of it there is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from stn_lightning.data._archives import fetch, unpack, verify
from stn_lightning.data._content import sync
from stn_lightning.data._cub.reading import IMAGES, Birds

NAME = "CUB_200_2011"
URL = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"
MD5 = "97eceeb196236b17998738112f37df78"


class Counts(NamedTuple):
    """How much of a set there is."""

    training: int
    test: int
    classes: int
    parts: int


PUBLISHED = Counts(5994, 5794, 200, 15)


def cub_folder(root: str | Path) -> Path:
    """``root/CUB_200_2011``, where the set lies as published.

    Raises:
        FileNotFoundError: if it is not there; says what to do.
    """
    folder = Path(root).absolute() / NAME
    if not (folder / IMAGES).is_file():
        raise FileNotFoundError(
            f"no {folder / IMAGES}: --data.download=true fetches it (1.1 GiB); or fetch {URL} and unpack it with "
            f"`tar -xzf {NAME}.tgz -C {folder.parent}`; or give another --data.root; --data.source=generated needs no file"
        )
    return folder


def check_counts(birds: Birds) -> None:
    """Sees whether a set that is the published one by its classes, or by its number of images, is whole.

    Raises:
        ValueError: if it is not; a smaller set in the same layout is not meant to be.
    """
    training = int(birds.training.sum())
    found = Counts(training, len(birds.names) - training, len(birds.class_names), len(birds.part_names))
    is_published = found.classes == PUBLISHED.classes or found.training + found.test == PUBLISHED.training + PUBLISHED.test
    if is_published and found != PUBLISHED:
        said, got = (
            f"{n.training:,} training and {n.test:,} test images of {n.classes} classes with {n.parts} parts"
            for n in (PUBLISHED, found)
        )
        raise ValueError(f"{birds.folder} is not CUB-200-2011 as published: expected {said}, got {got}")


def download(root: str | Path, url: str = URL, md5: str = MD5) -> None:
    """Fetches CUB-200-2011 into ``root/CUB_200_2011`` and verifies it; what lies there is not fetched again.

    Args:
        root: folder of data.
        url: of the archive.
        md5: of the archive, hexadecimal; CaltechDATA states it, and no SHA-256.

    Raises:
        ConnectionError: if it cannot be fetched.
        FileExistsError: if something else lies where it belongs.
        ValueError: if it is not the archive that was published.
    """
    place = Path(root).absolute()
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / f".{NAME}.lock"):
        if (place / NAME / IMAGES).is_file():
            return
        if (place / NAME).exists():
            raise FileExistsError(f"{place / NAME} has no {IMAGES}: remove the folder, and it is fetched anew")
        partial = place / f"{NAME}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            name = url.rpartition("/")[2]
            file = fetch(url, partial, f"fetch it elsewhere and unpack it in {place}: `tar -xzf {name} -C {place}`")
            verify(file, url, "md5", md5)
            unpack(file, url)
            if not (partial / NAME / IMAGES).is_file():
                raise ValueError(f"expected {NAME}/{IMAGES} in {url}, got none")
            (partial / NAME).rename(place / NAME)
            sync(place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
