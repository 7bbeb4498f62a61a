"""Kills during saves, and full disks."""

from __future__ import annotations

import ctypes
import os
import random
import resource
import shutil
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from unittest import SkipTest

from _faults._forked import LONGEST, start, stn
from _faults.fault import Fault

NUMBERS = 2_000_000  # of the network that is saved: 8 MB
LONGEST_UNTIL_KILL = 0.4  # seconds; a save takes about 0.05
OTHER = Path("/dev/shm")
TINY = ["--trainer.limit_train_batches=1", "--data.batch_size=16", "--data.num_validation=16"]
FIT = ["fit", *TINY, "--trainer.max_epochs=4", "--trainer.enable_progress_bar=false", "--model.network=FCN"]
NEW_USER, NEW_MOUNTS = 0x10000000, 0x00020000


def save_forever(folder: Path, whole: bool = True) -> None:
    """A run that does little but save: its best and its last, after each step."""
    import torch
    from lightning.pytorch import LightningModule, Trainer

    from stn_lightning.callbacks import BestAndLast
    from stn_lightning.checkpoints import WholeCheckpoints

    class Numbers(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.rand(NUMBERS))

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.weight[:1].sum()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    torch.set_num_threads(1)
    trainer = Trainer(
        max_epochs=-1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[WholeCheckpoints()] if whole else None,
        callbacks=[BestAndLast(None, folder)],
    )
    trainer.fit(Numbers(), [0])


def killed(number: int, folder: Path, whole: bool = True) -> str:
    """A kill -9 at a random moment: all that has a name is good, and what is half-written goes with the next search."""
    from stn_lightning.checkpoints import find_checkpoint, read_checkpoint

    checkpoints = folder / "version_0" / "checkpoints"
    process = start(save_forever, checkpoints, whole)
    give_up = monotonic() + LONGEST
    while not (checkpoints / "last.ckpt").exists():
        if monotonic() > give_up or process.exitcode is not None:
            process.kill()
            return "the run saved nothing"
        sleep(0.005)
    sleep(random.Random(number).uniform(0, LONGEST_UNTIL_KILL))
    process.kill()
    process.join()
    litter = [file.name for file in checkpoints.iterdir() if file.suffix != ".ckpt"]
    try:
        for name in ("best.ckpt", "last.ckpt"):
            read_checkpoint(checkpoints / name)
        found = find_checkpoint("last", folder)
    except (OSError, ValueError) as e:
        return str(e)
    left = sorted(file.name for file in checkpoints.iterdir())
    if found.skipped or len(litter) > 1 or left != ["best.ckpt", "last.ckpt"]:
        return f"skipped {found.skipped}, litter {litter}, left {left}"
    return ""


def killed_elsewhere(number: int, folder: Path, whole: bool = True) -> str:
    """The same where checkpoints lie on another file system than temporary files."""
    if not OTHER.is_dir() or OTHER.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev:
        raise SkipTest(f"needs {OTHER} on another file system than {tempfile.gettempdir()}")
    with tempfile.TemporaryDirectory(prefix="stn-fault-", dir=OTHER) as elsewhere:
        return killed(number, Path(elsewhere), whole)


def full(number: int, folder: Path) -> str:
    """A disk, or a file, that gets full in the first save after a random number of them."""
    from stn_lightning.checkpoints import read_checkpoint

    draw = random.Random(number)
    width, saves = 128, draw.choice([1, 2, 2])  # the best, and the last: the next is written beside them
    size = _size(width)
    result, disk = folder / "result", folder / "disk"
    disk.mkdir()
    room = int(size * (saves + draw.uniform(0.3, 0.9)))
    command = [*FIT, f"--model.network.width={width}"]
    ended = stn(folder, *command, within=_on_a_small_disk, given=(disk, result, room, size))
    named = (result / "mounted").exists()
    files = {file.name: file for file in result.rglob("*") if file.is_file() and "checkpoints" in file.parts}
    expected = {"best.ckpt", "last.ckpt"} if saves == 2 else {"best.ckpt"}
    if ended.code != 1 or not all(part in ended.error for part in (".ckpt could not be saved", "it needs", "MB are free")):
        return f"exit code {ended.code}: {ended.err[-1000:]}"
    if set(files) != (expected if named else set()):
        return f"there are {sorted(files)}"
    try:
        for file in files.values():
            read_checkpoint(file)
    except ValueError as e:
        return str(e)
    return ""


@cache
def _size(width: int) -> int:
    """Bytes of a checkpoint of that width."""
    with tempfile.TemporaryDirectory(prefix="stn-fault-") as name:
        ended = stn(Path(name), *FIT, f"--model.network.width={width}", "--trainer.max_epochs=1")
        files = list(Path(name).rglob("last.ckpt"))
        if not files:
            raise RuntimeError(ended.err)
        return files[0].stat().st_size


def _on_a_small_disk(disk: Path, result: Path, room: int, size: int, run: Callable[[], Any]) -> None:
    """Runs on a file system in memory, where the kernel permits one, else with files that cannot grow."""
    if mounted := _mount(disk, room):
        os.chdir(disk)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))
    try:
        run()
    finally:
        shutil.copytree(disk, result, symlinks=True)
        if mounted:
            (result / "mounted").touch()


def _mount(folder: Path, room: int) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(NEW_USER | NEW_MOUNTS):
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        Path("/proc/self", name).write_text(text)
    return bool(libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, f"size={room}".encode()) == 0)


FAULTS = [
    Fault("kill -9 during saves, the file system of TMPDIR", "an unreadable checkpoint, litter", 200, 1, killed),
    Fault("kill -9 during saves, another file system", "an unreadable checkpoint, litter", 200, 1, killed_elsewhere),
    Fault("full disk", "a lost or partial checkpoint, no clear message", 20, 1, full),
]
PLAIN = [partial(killed, whole=False), partial(killed_elsewhere, whole=False)]  # the same with plain Lightning
