"""Damaged checkpoints: a last one that cannot be read, flipped bits, weights that are not finite."""

from __future__ import annotations

import csv
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from _faults._forked import stn
from _faults.fault import Fault

TINY = ["--trainer.limit_train_batches=1", "--trainer.log_every_n_steps=1"]
SMALL = ["--data.batch_size=16", "--data.num_validation=16"]
FIT = ["fit", *TINY, *SMALL, "--trainer.enable_progress_bar=false", "--model.network=FCN", "--model.network.width=8"]
EPOCHS = 2


def flip(file: Path, draw: random.Random) -> None:
    """Turns one bit over."""
    content = bytearray(file.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


def truncate(file: Path, draw: random.Random) -> None:
    os.truncate(file, draw.randrange(1, file.stat().st_size))


def dangle(file: Path, draw: random.Random) -> None:
    file.unlink()
    file.symlink_to("epoch=9.ckpt")


DAMAGES: dict[str, Callable[[Path, random.Random], Any]] = {
    "truncated": truncate,
    "empty": lambda file, draw: os.truncate(file, 0),
    "dangling": dangle,
    "missing": lambda file, draw: file.unlink(),
    "bit flip": flip,
}


@cache
def _trained() -> tempfile.TemporaryDirectory[str]:
    """A folder with a run, which goes when this process ends."""
    folder = tempfile.TemporaryDirectory(prefix="stn-fault-")
    ended = stn(Path(folder.name), *FIT, f"--trainer.max_epochs={EPOCHS}")
    if ended.code != 0:
        raise RuntimeError(ended.err)
    return folder


def last_is_damaged(number: int, folder: Path) -> str:
    """The run goes on from the best, or, where that is damaged too, ends with a message; it never begins anew."""
    draw = random.Random(number)
    how = list(DAMAGES)[number % len(DAMAGES)]
    best_too = number // len(DAMAGES) % 2 == 1
    shutil.copytree(Path(_trained().name) / "runs", folder / "runs")
    checkpoints = folder / "runs" / "version_0" / "checkpoints"
    DAMAGES[how](checkpoints / "last.ckpt", draw)
    if best_too:
        DAMAGES[how](checkpoints / "best.ckpt", draw)
    names = ["last.ckpt", "best.ckpt"][: 1 + best_too] if how != "missing" else []
    ended = stn(folder, *FIT, f"--trainer.max_epochs={EPOCHS + 1}", "--ckpt_path=last")
    if best_too:
        said = [*names, "checkpoint in runs"]
        fine = ended.code == 1 and all(name in ended.error for name in said) and not (folder / "runs" / "version_1").exists()
    else:
        said = [*names, "taken: runs/version_0/checkpoints/best.ckpt"]
        fine = ended.code == 0 and all(name in ended.err for name in said) and _epochs(folder) <= set(range(1, EPOCHS + 1))
    return "" if fine else f"{how}: exit code {ended.code}: {ended.err[-1000:]}"


def _epochs(folder: Path) -> set[int]:
    """Those that the resumed run trained."""
    with (folder / "runs" / "version_1" / "metrics.csv").open() as stream:
        return {int(row["epoch"]) for row in csv.DictReader(stream) if row["train/loss"]}


def bit_is_flipped(number: int, folder: Path) -> str:
    """Any bit of a checkpoint of a run."""
    from stn_lightning.checkpoints import read_checkpoint

    file = Path(shutil.copy(Path(_trained().name) / "runs" / "version_0" / "checkpoints" / "last.ckpt", folder))
    read_checkpoint(file)
    flip(file, random.Random(number))
    return _refused(file, "")


def bit_of_plain_lightning_is_flipped(number: int, folder: Path) -> str:
    """Any bit of a file without a checksum of its own: it may be accepted where it says the same as before."""
    import torch

    from stn_lightning.checkpoints import read_checkpoint

    whole = read_checkpoint(Path(_trained().name) / "runs" / "version_0" / "checkpoints" / "last.ckpt")
    file = folder / "plain.ckpt"
    torch.save(whole, file)
    flip(file, random.Random(number))
    try:
        found = read_checkpoint(file)
    except ValueError as e:
        return "" if str(file) in str(e) else f"the file is not named: {e}"
    return "" if _same(found, whole) else "other content was accepted"


def weight_is_not_finite(number: int, folder: Path) -> str:
    """A NaN or an infinite number anywhere in the weights, in a file that is whole."""
    import torch

    from stn_lightning.checkpoints import read_checkpoint, write_checkpoint

    draw = random.Random(number)
    content = read_checkpoint(Path(_trained().name) / "runs" / "version_0" / "checkpoints" / "last.ckpt")
    weights = content["state_dict"]
    name = draw.choice([name for name, value in weights.items() if torch.is_floating_point(value) and value.numel()])
    value = weights[name].contiguous().view(-1)
    value[draw.randrange(len(value))] = draw.choice([float("nan"), float("inf"), float("-inf")])
    file = folder / "broken.ckpt"
    write_checkpoint(content, file)
    return _refused(file, name)


def _refused(file: Path, part: str) -> str:
    """By each of the ways in."""
    from stn_lightning.checkpoints import WholeCheckpoints, read_checkpoint
    from stn_lightning.tasks import Task

    for read in (read_checkpoint, WholeCheckpoints().load_checkpoint, Task.load_from_checkpoint):
        try:
            read(file)
        except ValueError as e:
            if str(file) not in str(e) or part not in str(e):
                return f"the file, or {part!r}, is not named: {e}"
        else:
            return f"{read.__qualname__} accepted it"
    return ""


def _same(a: Any, b: Any) -> bool:
    import torch

    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)


FAULTS = [
    Fault("last.ckpt truncated, empty, dangling, missing, a bit flipped", "a start at step 0", 40, 1, last_is_damaged),
    Fault("a bit of a checkpoint flipped", "accepted", 300, 2, bit_is_flipped),
    Fault(
        "a bit of plain Lightning's checkpoint flipped", "other content accepted", 300, 2, bit_of_plain_lightning_is_flipped
    ),
    Fault("weights that are not finite", "accepted", 40, 2, weight_is_not_finite),
]
