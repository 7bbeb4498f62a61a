"""Real processes that start at once: each is forked from one that has imported everything and done nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, NamedTuple

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["stn_lightning.cli", "stn_lightning.callbacks", "stn_lightning.checkpoints"])
LONGEST = 120.0  # seconds


class Ended(NamedTuple):
    """A command that has ended; ``code`` is None where it hung."""

    code: int | None
    err: str

    @property
    def error(self) -> str:
        """Its one line that says what was wrong; empty where there is none, or a traceback, or several."""
        lines = [line for line in self.err.splitlines() if "error:" in line]
        return lines[0] if len(lines) == 1 and "Traceback" not in self.err else ""


def start(function: Callable[..., Any], *args: Any) -> ForkServerProcess:
    process = CONTEXT.Process(target=function, args=args)
    process.start()
    return process


def stn(folder: Path, *args: str, within: Callable[..., Any] | None = None, given: tuple[Any, ...] = ()) -> Ended:
    """``stn`` in a process of its own, in a folder.

    Args:
        folder: where it runs.
        *args: of the command.
        within: called in the process, with ``given`` and what runs the command.
        given: arguments of ``within``.
    """
    err = folder / "stderr.txt"
    process = start(_stn, folder, err, args, within, given)
    process.join(LONGEST)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    return Ended(code, err.read_text(errors="replace"))


def _stn(folder: Path, err: Path, args: tuple[str, ...], within: Callable[..., Any] | None, given: tuple[Any, ...]) -> None:
    os.chdir(folder)
    with err.open("wb") as stream:
        os.dup2(stream.fileno(), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.argv = ["stn"]
    import torch

    from stn_lightning.__main__ import main

    torch.set_num_threads(1)

    def run() -> Any:
        try:
            return main(list(args))
        finally:
            sys.stderr.flush()

    run() if within is None else within(*given, run)
