"""Folders of class folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from stn_lightning._printable import printable
from stn_lightning.data._by_class import hold_out_by_class
from stn_lightning.data._decoding import SUFFIXES, is_image

SPLITS = ("train", "val", "test")
LIKE_SPLITS = {*SPLITS, "training", "valid", "validation", "testing"}


class Files(NamedTuple):
    """Image files (N) and their targets (N,)."""

    files: list[str]
    targets: Tensor

    def chosen(self, numbers: Tensor) -> Files:
        """Those of given numbers."""
        return Files([self.files[i] for i in numbers.tolist()], self.targets[numbers])


def is_split(root: Path) -> bool:
    """Whether the class folders are in ``root/train``."""
    train = root / "train"
    return train.is_dir() and any(entry.is_dir() for entry in train.iterdir())


def class_names(root: Path) -> list[str]:
    """Names of the class folders, of ``root/train`` where they are there; hidden ones are none.

    Raises:
        FileNotFoundError: if there is no folder, or no class folder in it.
        ValueError: for one class, or folders that look like splits and have other names.
    """
    folder = root / "train" if is_split(root) else root
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder.absolute()}: expected class folders of images in it; give --data.root")
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise FileNotFoundError(
            f"no class folder in {folder.absolute()}: expected {folder.name}/CLASS/*{SUFFIXES[0]} and so on"
        )
    beside = [entry.name for entry in root.iterdir() if entry.is_dir() and entry.name not in SPLITS]
    if odd := sorted(name for name in beside if name.lower() in LIKE_SPLITS):
        raise ValueError(f"{root}: expected folders of splits named {', '.join(SPLITS)}; got {', '.join(odd)}")
    if odd := [name for name in names if not name.isprintable()]:
        raise ValueError(f"{printable(folder)}: expected class folders of printable names, got {printable(odd[0])}")
    if len(names) < 2:
        raise ValueError(f"{folder}: expected at least two class folders, got {names[0]!r} alone")
    return names


def list_files(root: Path, fractions: dict[str, float], seed: int) -> dict[str, Files]:
    """The files of ``train``, ``val`` and ``test``; a split that has no folder is held out of training, class by class.

    Args:
        root: folder of class folders, or of ``train`` and perhaps ``val`` and ``test``.
        fractions: share of the training images that is held out for a split.
        seed: of which.

    Raises:
        FileNotFoundError: if there is no class folder, or one is empty.
        ValueError: for a class of ``val`` or ``test`` that ``train`` has not, or too few images.
    """
    names = class_names(root)
    if not is_split(root):
        found = {"train": _listed(root, names)}
    else:
        found = {split: _listed(root / split, names) for split in SPLITS if (root / split).is_dir()}
    missing = [split for split in SPLITS if split not in found]
    training = found["train"]
    counts = [max(1, round(fractions[split] * len(training.files))) for split in missing]
    if sum(counts) >= len(training.files):
        raise ValueError(f"{root}: expected more than {sum(counts)} images to train on, got {len(training.files)}")
    *held_out, kept = hold_out_by_class(training.targets, counts, seed)
    if lost := sorted(set(training.targets.tolist()) - set(training.targets[kept].tolist())):
        raise ValueError(f"{root}: expected more images of {names[lost[0]]}: all are held out, none is left to train on")
    parts = {split: training.chosen(numbers) for split, numbers in zip(missing, held_out, strict=True)}
    return {**found, **parts, "train": training.chosen(kept)}


def _listed(folder: Path, names: list[str]) -> Files:
    there = {entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    if unknown := sorted(there - set(names)):
        raise ValueError(
            f"{folder}: expected the classes of training, {', '.join(names[:9])}; got {printable(', '.join(unknown[:9]))}"
        )
    classes = {name: i for i, name in enumerate(names) if name in there}
    if not classes:
        raise FileNotFoundError(f"no class folder in {folder.absolute()}: expected some of {', '.join(names[:9])}")
    seen: dict[tuple[int, int], str] = {}
    items = [(file, target) for name, target in classes.items() for file in _images(folder / name, seen)]
    if empty := sorted(set(classes) - {names[target] for _, target in items}):
        raise FileNotFoundError(f"no images in {folder.absolute() / empty[0]}: expected files {', '.join(SUFFIXES)}")
    return Files([file for file, _ in items], torch.tensor([target for _, target in items]))


def _images(folder: Path, seen: dict[tuple[int, int], str]) -> list[str]:
    """The images in a folder and those in it, in the order of names.

    A user's links are followed, to wherever they lead, but none to a folder that was seen: a loop would have no end.
    """
    found = []
    for place, _, names in os.walk(folder, followlinks=True):
        state = os.stat(place)
        if (other := seen.setdefault((state.st_dev, state.st_ino), place)) != place:
            raise ValueError(f"{printable(place)} is a link to {printable(other)}: expected each folder of images once")
        found.append((place, sorted(filter(is_image, names))))
    return [os.path.join(place, name) for place, names in sorted(found) for name in names]
