"""Real jobs of one or two ranks, for faults to hit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Literal

import torch

Launch = Literal["one", "popen", "torchrun"]
OPTIONS = [
    "--trainer.accelerator=cpu",
    "--trainer.max_epochs=100000",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--model.network=FCN",
    "--model.network.width=8",
    "--model.transform=affine",
    "--data.batch_size=64",
]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
MARK = "STN_FAULT"


def timeout(seconds: int) -> list[str]:
    """Options for ranks that wait so long for each other."""
    return ["--trainer.strategy=lightning.pytorch.strategies.DDPStrategy", f"--trainer.strategy.timeout=0:00:{seconds:02}"]


class Job:
    """``stn fit`` in a folder; what it prints is in ``output.txt``.

    Args:
        folder: of its own; the number of the job is its path.
        launch: one process; two, the second started by the first; or two that ``torchrun`` starts.
        options: further ones of ``stn fit``.
    """

    def __init__(self, folder: Path, launch: Launch, options: Sequence[str] = ()) -> None:
        self.folder, self.launch = folder, launch
        devices = f"--trainer.devices={1 if launch == 'one' else 2}"
        command = [
            sys.executable,
            *(TORCHRUN if launch == "torchrun" else []),
            "-m",
            "stn_lightning",
            "fit",
            devices,
            *OPTIONS,
        ]
        with (folder / "output.txt").open("w") as file:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", MARK: str(folder)}
            self.process = subprocess.Popen([*command, *options], cwd=folder, env=environment, stdout=file, stderr=file)

    def processes(self) -> dict[int, dict[str, str]]:
        """The environment of every process that is left of the job."""
        found = {}
        for file in Path("/proc").glob("[0-9]*/environ"):
            try:
                lines = file.read_bytes().split(b"\0")
                environment = dict(line.decode(errors="replace").partition("=")[::2] for line in lines)
            except OSError:
                continue
            if environment.get(MARK) == str(self.folder):
                found[int(file.parent.name)] = environment
        return found

    def target(self, name: str) -> int:
        """The process of ``agent``, ``0`` or ``1``: of the first process, or a rank."""
        ranks = {
            environment["LOCAL_RANK"]: number
            for number, environment in self.processes().items()
            if "LOCAL_RANK" in environment
        }
        ranks.setdefault("0", self.process.pid)
        return self.process.pid if name == "agent" else ranks[name]

    def wait_until(self, happened: Callable[[], bool], seconds: float = 120) -> bool:
        """Waits for something, for the end of the job, or for so long; whether it happened."""
        end = monotonic() + seconds
        while not happened() and self.process.poll() is None and monotonic() < end:
            sleep(0.05)
        return happened()

    def has_trained(self) -> bool:
        """An epoch."""
        return bool(self.checkpoints())

    def checkpoints(self) -> list[Path]:
        return sorted(self.folder.glob("runs/version_*/checkpoints/*.ckpt"))

    def end(self, seconds: float) -> tuple[int | None, float, int]:
        """Waits for the last of it, kills what is left: (exit code, None where it hung; after how long; processes left)."""
        start = monotonic()
        while ((left := self.processes()) or self.process.poll() is None) and monotonic() < start + seconds:
            sleep(0.05)
        took, code = monotonic() - start, self.process.poll()
        for number in left:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self.process.wait()
        return code, took, len(left)

    def output(self) -> str:
        return " ".join((self.folder / "output.txt").read_text().split())[-400:]


def last_step(folder: Path) -> int:
    """The step of the newest ``last.ckpt`` below a folder."""
    newest = max(folder.rglob("last.ckpt"), key=lambda file: file.stat().st_mtime)
    return int(torch.load(newest, map_location="cpu", weights_only=True)["global_step"])


def chance(number: int, purpose: str) -> random.Random:
    """What is by chance in a trial is a function of its number."""
    return random.Random(f"{purpose} {number}")
