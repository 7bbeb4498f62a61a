"""Hostile data files, through the readers of the package, and through ``stn fit`` and ``stn predict``."""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable
from functools import partial
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path

from PIL import Image

from _faults.commands import run
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


def _mnist(what: int, folder: Path) -> tuple[list[str], str]:
    _, make, says = lists.MNIST[what]
    return ["fit", "--data=DistortedDigits", "--data.source=mnist", f"--data.root={make(folder)}"], says


def _classes(folder: Path, *contents: bytes) -> list[str]:
    for name in ("cat", "dog"):
        (folder / "classes" / name).mkdir(parents=True)
        for i in range(20):
            (folder / "classes" / name / f"{i}.png").write_bytes(contents[i % len(contents)])
    return ["--data=ImageFolderData", f"--data.root={folder / 'classes'}", "--data.size=32", "--data.num_workers=0"]


def _trained(folder: Path) -> tuple[list[str], str]:
    return ["fit", *_classes(folder, BOMB)], PIXELS


def _predicted(folder: Path) -> tuple[list[str], str]:
    (folder / "new").mkdir()
    (folder / "new" / "it.png").write_bytes(BOMB)
    sound = BytesIO()
    Image.new("RGB", (8, 8)).save(sound, "PNG")
    return ["predict", *_classes(folder, sound.getvalue()), f"--data.images={folder / 'new'}"], PIXELS


BOMB, PIXELS = images.png(20_000, 20_000), "400000000 pixels"
COMMANDS: list[Callable[[Path], tuple[list[str], str]]] = [
    *(partial(_mnist, what) for what in (0, 1, 2, 5)),
    _trained,
    _predicted,
]


def command(number: int, folder: Path) -> str:
    """One hostile set, through a command."""
    args, says = COMMANDS[number % len(COMMANDS)](folder)
    return run(folder, *args, "--trainer.accelerator=cpu", limit=HUNG).wrong(says)


FAULTS = [
    Fault("hostile data file read", "accepted, hung, or over 5 s or 1 GB", len(FILES), 2, read),
    Fault("hostile data through `stn fit` and `stn predict`", "no error of one line", len(COMMANDS), 1, command),
]
