"""Runs that are killed or asked to end anywhere, and go on; with another number of processes too."""

from __future__ import annotations

import atexit
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from textwrap import dedent
from time import monotonic, sleep
from typing import Any
from zlib import crc32

from _faults._forked import LONGEST, start, stn
from _faults.equal import same
from _faults.fault import Fault

EPOCHS, LONGEST_UNTIL_END = 4, 2.0  # seconds after the first checkpoint
USUAL = [
    f"--trainer.max_epochs={EPOCHS}",
    "--trainer.accumulate_grad_batches=2",
    "--trainer.callbacks=stn_lightning.callbacks.BestAndLast",
    "--trainer.callbacks.every_n_steps=2",
    "--trainer.log_every_n_steps=4",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
]
# asks for the number of steps, as those of the recipes do
SCHEDULER = ["--model.scheduler=torch.optim.lr_scheduler.OneCycleLR", "--model.scheduler.max_lr=0.01"]
DISTORTED = "--data.distortion=RTS --data.batch_size=64 --data.num_validation=50 --model.penalties+=Equivariance"
NUMBERS = "--data=HouseNumbers --data.num_generated=[170,4] --data.num_validation=10 --data.side=40 --data.crop=32"
DROPOUT = f"--model=SequenceRecognition --model.network=HouseNumberNet --model.network.width=0.03125 {NUMBERS}"
KINDS = [
    # distorted anew at each step, and a penalty that draws from the global generator
    f"--model.network=FCN --model.network.width=8 --model.transform=affine {DISTORTED}".split(),
    # dropout, in one process and in two
    f"{DROPOUT} --data.batch_size=16".split(),
    f"{DROPOUT} --data.batch_size=8 --trainer.devices=2 --trainer.strategy=ddp_fork --trainer.accelerator=cpu".split(),
]
SAME = ("state_dict", "optimizer_states", "lr_schedulers", "random_state", "global_step", "epoch")
DIGITS = ["--data.distortion=none", "--data.num_validation=47", "--model.network=FCN", "--model.network.width=4"]
IMAGES, BATCH = 1300, 32
DIARY = """
    import json, os, signal
    from zlib import crc32
    from lightning.pytorch.callbacks import Checkpoint

    class Diary(Checkpoint):
        def __init__(self, batches: int = -1) -> None:
            self.left = batches

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            images = [crc32(image.numpy().tobytes()) for image in batch[0]]
            with open(f"{trainer.world_size}_{trainer.global_rank}.jsonl", "a") as file:
                file.write(json.dumps([trainer.current_epoch, images]) + "\\n")
            self.left -= 1
            if self.left == 0:
                trainer.save_checkpoint("middle.ckpt")
                os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(number: int, folder: Path) -> str:
    """A kill -9 at a random moment; the run goes on from the newest checkpoint."""
    return _ended(number, folder, signal.SIGKILL)


def asked(number: int, folder: Path) -> str:
    """A SIGTERM at a random moment."""
    return _ended(number, folder, signal.SIGTERM)


def _ended(number: int, folder: Path, way: signal.Signals) -> str:
    kind = number % (len(KINDS) if way == signal.SIGKILL else 2)  # ranks that are asked: tests/test_preemption.py
    whole, took = _uninterrupted(kind)
    process = start(_fit, folder, kind, str(whole.parent))
    give_up = monotonic() + LONGEST
    while not list(folder.glob("runs/*/checkpoints/last.ckpt")) and process.exitcode is None and monotonic() < give_up:
        sleep(0.005)
    sleep(random.Random(number).uniform(0, min(took, LONGEST_UNTIL_END)))
    if process.exitcode is None and process.pid is not None:
        os.kill(process.pid, way)
    process.join(LONGEST)
    expected = {signal.SIGKILL: -9, signal.SIGTERM: 143}[way]
    if process.exitcode not in (expected, 0):
        process.kill()
        return f"exit code {process.exitcode}: {(folder / 'stderr.txt').read_text()[-600:]}"
    ended = stn(folder, *_options(kind, str(whole.parent)), "--ckpt_path=last")
    if ended.code != 0:
        return f"not resumed: exit code {ended.code}: {ended.err[-600:]}"
    return differences(_last(whole), _last(folder / "runs"))


def resumed_by_others(number: int, folder: Path) -> str:
    """Two ranks, killed at a random batch, whose run one process goes on with, or the other way round."""
    draw = random.Random(number)
    before, after = (2, 1) if number % 2 else (1, 2)
    steps = IMAGES // (BATCH * before)
    batches = draw.randrange(1, 2 * steps)
    (folder / "stn_fault_diary.py").write_text(dedent(DIARY))
    stn(folder, *_of_ranks(before), f"--trainer.callbacks.batches={batches}", within=_with_diary, given=(str(folder),))
    if not (folder / "middle.ckpt").exists():
        return f"nothing to resume: {(folder / 'stderr.txt').read_text()[-600:]}"
    ended = stn(folder, *_of_ranks(after), "--ckpt_path=middle.ckpt", within=_with_diary, given=(str(folder),))
    if ended.code != 0:
        return f"not resumed: exit code {ended.code}: {ended.err[-600:]}"
    epoch = (batches - 1) // steps  # the one that was cut
    seen = Counter[int]()
    for file in folder.glob("*_*.jsonl"):
        for line in file.read_text().splitlines():
            page = json.loads(line)
            seen.update(page[1] if page[0] == epoch else [])
    expected = Counter(_images_of(epoch, steps * BATCH * before))
    lost, doubled = (expected - seen).total(), (seen - expected).total()
    return f"{before} -> {after} ranks after {batches} batches: {lost} lost, {doubled} doubled" if lost or doubled else ""


def _images_of(epoch: int, count: int) -> Iterator[int]:
    from stn_lightning.data import DistortedDigits

    data = DistortedDigits(distortion="none", num_validation=47, batch_size=1, seed=0)
    data.setup()
    loader = data.train_dataloader()
    loader.set_epoch(epoch)
    for raw in islice(loader, count):
        yield crc32(data.on_after_batch_transfer(raw, 0)[0][0].numpy().tobytes())


def _of_ranks(count: int) -> list[str]:
    ranks = [f"--trainer.devices={count}", *(["--trainer.strategy=ddp_fork"] if count > 1 else [])]
    usual = [
        *USUAL[-3:],
        "--trainer.logger=false",
        "--trainer.max_epochs=2",
        "--trainer.callbacks=stn_fault_diary.Diary",
        "--trainer.accelerator=cpu",
    ]
    return ["fit", *ranks, *usual, *DIGITS, f"--data.batch_size={BATCH}"]


def _with_diary(folder: str, run: Callable[[], Any]) -> Any:
    sys.path.insert(0, folder)
    os.environ["STN_ALLOW_IMPORT"] = "stn_fault_diary"
    return run()


def _options(kind: int, root: str) -> list[str]:
    return ["fit", *USUAL, *KINDS[kind], *SCHEDULER, f"--data.root={root}"]


def _fit(folder: Path, kind: int, root: str) -> None:
    from _faults._forked import _stn

    _stn(folder, folder / "stderr.txt", tuple(_options(kind, root)), None, ())


@cache
def _uninterrupted(kind: int) -> tuple[Path, float]:
    """The runs folder of a run of a kind that nothing happened to, and its seconds."""
    folder = Path(tempfile.mkdtemp(prefix="stn-fault-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    begun = monotonic()
    ended = stn(folder, *_options(kind, str(folder)))
    if ended.code != 0:
        raise RuntimeError(ended.err[-2000:])
    return folder / "runs", monotonic() - begun


def _last(runs: Path) -> dict[str, Any]:
    from stn_lightning.checkpoints import read_checkpoint

    files = runs.glob("version_*/checkpoints/last.ckpt")  # none of a run that had nothing left to do
    return read_checkpoint(max(files, key=lambda file: file.stat().st_mtime))


def differences(whole: dict[str, Any], resumed: dict[str, Any]) -> str:
    """Which parts of two checkpoints differ by a bit; empty where none does."""
    found = [part for part in SAME if not same(whole[part], resumed[part])]
    return f"differs in {', '.join(found)}" if found else ""


FAULTS = [
    Fault("kill -9 at a random moment of a run, resumed by last", "final weights differ", 15, 1, killed),
    Fault("SIGTERM at a random moment of a run, resumed by last", "final weights differ", 15, 1, asked),
    Fault("resumed by another number of ranks in mid-epoch", "samples lost or doubled", 10, 1, resumed_by_others),
]
