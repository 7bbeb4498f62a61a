"""Hostile data files, through the readers of the package, and through ``stn fit`` and ``stn predict``."""

from __future__ import annotations

import multiprocessing
import resource
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from PIL import Image

from _faults.fault import Fault
from _faults.hostile import archives, images, lists, matlab
from _faults.hostile.file import HostileFile

FILES = [*images.FILES, *lists.FILES, *matlab.FILES, *archives.FILES]
MOST_SECONDS, MOST_MEGABYTES, HUNG = 5, 1000, 60
PROCESSES = multiprocessing.get_context("fork")  # which has the package already


def used() -> tuple[float, float]:
    """Seconds that this process computed, and the most megabytes that it had."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def refused(hostile: HostileFile, folder: Path) -> str:
    """What is wrong with how a file is refused; empty if nothing."""
    root = folder / "root"
    root.mkdir(exist_ok=True)
    place = hostile.make(root)
    try:
        got = hostile.read(place)
    except (ValueError, FileNotFoundError) as e:
        if hostile.says not in str(e) or not str(e).isprintable():
            return f"{hostile.name}: expected a message of {hostile.says!r}, got {str(e)[:300]!r}"
    except Exception as e:
        return f"{hostile.name}: {type(e).__name__}: {str(e)[:300]}"
    else:
        return f"{hostile.name}: accepted, {str(got)[:80]}"
    outside = list(folder.rglob("escaped")) + [file for file in folder.iterdir() if file != root]
    return f"{hostile.name}: wrote {outside[0]}" if outside else ""


def _measured(hostile: HostileFile, folder: Path, ask: Connection) -> None:
    root = folder / "root"
    root.mkdir()
    place = hostile.make(root)
    Path("/proc/self/clear_refs").write_text("5")  # the most memory, from now on
    seconds, megabytes = used()
    found = refused(hostile._replace(make=lambda _: place), folder)
    ask.send((found, *(after - before for after, before in zip(used(), (seconds, megabytes), strict=True))))


def read(number: int, folder: Path) -> str:
    """One file, in a process of its own."""
    hostile = FILES[number % len(FILES)]
    answer, ask = PROCESSES.Pipe()
    process = PROCESSES.Process(target=_measured, args=(hostile, folder, ask))
    process.start()
    ask.close()
    try:
        if not answer.poll(HUNG):
            return f"{hostile.name}: hung"
        found, seconds, megabytes = answer.recv()
    except EOFError:
        process.join()
        return f"{hostile.name}: ended the process, {process.exitcode}"
    finally:
        process.kill()
        process.join()
    if not found and (seconds > MOST_SECONDS or megabytes > MOST_MEGABYTES):
        return f"{hostile.name}: took {seconds:.1f} s and {megabytes:.0f} MB"
    return str(found)


def _stn(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stn_lightning", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=HUNG, check=False)


def _fit(folder: Path, *data: str) -> subprocess.CompletedProcess[str]:
    return _stn(folder, "fit", "--trainer.max_steps=1", "--trainer.accelerator=cpu", *data)


def _mnist(what: int) -> Callable[[Path], tuple[str, subprocess.CompletedProcess[str]]]:
    def run(folder: Path) -> tuple[str, subprocess.CompletedProcess[str]]:
        _, make, says = lists.MNIST[what]
        root = make(folder)
        return says, _fit(folder, "--data=DistortedDigits", "--data.source=mnist", f"--data.root={root}")

    return run


def _folder(content: bytes, says: str) -> Callable[[Path], tuple[str, subprocess.CompletedProcess[str]]]:
    def run(folder: Path) -> tuple[str, subprocess.CompletedProcess[str]]:
        root = folder / "classes"
        for name in ("cat", "dog"):
            (root / name).mkdir(parents=True)
            for i in range(5):
                Image.new("RGB", (8, 8)).save(root / name / f"{i}.png")
                (root / name / f"bad{i}.png").write_bytes(content)
        data = ("--data=ImageFolderData", f"--data.root={root}", "--data.size=8", "--data.batch_size=4")
        return says, _fit(folder, "--model=STNClassifier", *data, "--data.num_workers=1")

    return run


COMMANDS = [_mnist(5), _mnist(0), _mnist(8), _folder(images.png(20_000, 20_000), "20000x20000 pixels"), _mnist(7), _mnist(6)]


def command(number: int, folder: Path) -> str:
    """One hostile set, through a command."""
    says, done = COMMANDS[number % len(COMMANDS)](folder)
    lines = [line for line in done.stderr.splitlines() if "error:" in line]
    if done.returncode and "Traceback" not in done.stderr and len(lines) == 1 and says in lines[0]:
        return ""
    return f"expected one line with {says!r}, got exit code {done.returncode} and {done.stderr[-500:]!r}"


FAULTS = [
    Fault("hostile data file read", "accepted, hung, or over 5 s or 1 GB", len(FILES), 2, read),
    Fault("hostile data through `stn fit`", "no error of one line", len(COMMANDS), 1, command),
]
