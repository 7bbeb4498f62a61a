"""`stn reproduce`, killed or asked to end at any moment, or without room for its results."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from time import monotonic, sleep
from typing import Any

from _faults._forked import LONGEST, start
from _faults._jobs import chance
from _faults.fault import Fault

# trains for 0.3 s as `stn fit` does: checkpoints, SIGTERM, and a summary at the end
STAND_IN = """
    import json, os, shutil, signal, sys
    from pathlib import Path
    from time import sleep

    root = Path(next(word.partition("=")[2] for word in sys.argv if word.startswith("--trainer.default_root_dir=")))
    versions = sorted(root.glob("version_*"), key=lambda path: int(path.name[8:]))
    folder = root / f"version_{len(versions)}"
    (folder / "checkpoints").mkdir(parents=True)

    def write(name, text):
        (folder / "part").write_text(text)
        (folder / "part").rename(folder / name)

    def stop(*_):
        write("checkpoints/last.ckpt", str(step))
        os._exit(143)

    step, checkpoint = 0, None
    if sys.argv[1] == "fit":
        if "--ckpt_path=last" in sys.argv:
            step = max(int(file.read_text()) for file in root.glob("version_*/checkpoints/last.ckpt"))
        signal.signal(signal.SIGTERM, stop)
        for step in range(step + 1, 7):
            sleep(0.05)
            write("checkpoints/last.ckpt", str(step))
        shutil.copy(Path(__file__).with_name("best.ckpt"), folder / "checkpoints")
    else:
        checkpoint = next(word.partition("=")[2] for word in sys.argv if word.startswith("--ckpt_path="))
    parts = {part: {} for part in ("model", "data", "trainer")}
    write("config.yaml", json.dumps({**parts, "ckpt_path": checkpoint}))
    summary = {"stage": sys.argv[1], "metrics": {f"{sys.argv[1]}/error": 0.25}, "checkpoint": checkpoint, "device": "1 x cpu"}
    write("summary.json", json.dumps({**summary, "parameters": 1, "steps": step, "epochs": 1, "seconds": 0.3}))
"""
TABLE = """
    # two cells
    title: Two
    source: null
    metric: test/error
    best: lowest
    recipes: {fast: nothing.yaml}
    rows:
      first: {one: {experiment: nothing.yaml}, two: {experiment: nothing.yaml, options: {model.transform: null}}}
"""
SEEDS = 2
BYTES = 8_000  # of a file, where there is no more room


def prepare(folder: Path) -> None:
    """A table, and what stands in for ``stn fit`` and ``stn test``."""
    import torch

    from stn_lightning.checkpoints import write_checkpoint

    kept = {"best_model_score": torch.tensor(0.5), "monitor": "val/error"}
    write_checkpoint({"state_dict": {}, "epoch": 3, "callbacks": {"BestAndLast": kept}}, folder / "best.ckpt")
    for name, text in (("stand_in.py", STAND_IN), ("two.yaml", TABLE), ("nothing.yaml", "# nothing")):
        (folder / name).write_text(dedent(text))


def reproduce(folder: Path, room: int | None, seeds: int) -> None:
    """The command, in a process of its own."""
    from stn_lightning.__main__ import main
    from stn_lightning.reproducing import _stages

    os.chdir(folder)
    for stream in (1, 2):
        os.dup2(os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    if room is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    _stages.STN[:] = [sys.executable, str(folder / "stand_in.py")]
    main(["reproduce", "two.yaml", f"--seeds={seeds}", "--jobs=2", "--output=out"])


def ended(
    folder: Path, number: int, room: int | None = None, kill: signal.Signals | None = None, seeds: int = SEEDS
) -> int | None:
    """Runs the command, and perhaps ends it at some moment; its exit code."""
    process = start(reproduce, folder, room, seeds)
    if kill is not None:
        begun, give_up = folder / "out" / "first", monotonic() + LONGEST
        while not begun.exists() and process.exitcode is None and monotonic() < give_up:
            sleep(0.01)
        sleep(chance(number, kill.name).uniform(0, 1.5))
        if process.exitcode is None and process.pid:
            os.kill(process.pid, kill)
    process.join(LONGEST)
    return process.exitcode


def lines(folder: Path) -> list[Mapping[str, Any]]:
    """The finished runs."""
    file = folder / "out" / "results.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def said(folder: Path) -> str:
    return (folder / "said.txt").read_text()[-800:]


def completes(folder: Path, before: list[Mapping[str, Any]]) -> str:
    """The same command again: what was finished is as it was, all else is there, and nothing was trained twice."""
    code = ended(folder, 0)
    found = lines(folder)
    seen = sorted((line["column"], line["seed"]) for line in found)
    twice = [path for path in (folder / "out").glob("first/*/*/seed-*") if _trainings(path) != 1]
    if code != 0 or seen != [(column, seed) for column in ("one", "two") for seed in range(SEEDS)]:
        return f"exit code {code}, {seen}: {said(folder)}"
    if lost := [line for line in before if line not in found]:
        return f"lost {lost}"
    return f"trained twice: {twice}" if twice else ""


def _trainings(folder: Path) -> int:
    return sum(json.loads(file.read_text())["stage"] == "fit" for file in folder.glob("version_*/summary.json"))


def killed(number: int, folder: Path) -> str:
    """Twice by kill -9, or by SIGTERM, and then to its end."""
    prepare(folder)
    before: list[Mapping[str, Any]] = []
    for trial in (2 * number, 2 * number + 1):
        kill = signal.SIGTERM if trial % 3 == 0 else signal.SIGKILL
        code = ended(folder, trial, kill=kill)
        if code not in (0, -signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM):
            return f"exit code {code}: {said(folder)}"
        if lost := [line for line in before if line not in lines(folder)]:
            return f"lost {lost}"
        before = lines(folder)
    return completes(folder, before)


def full(number: int, folder: Path) -> str:
    """No room for the line of the next run, which is there when there is room again."""
    prepare(folder)
    if code := ended(folder, number, seeds=1):
        return f"exit code {code}: {said(folder)}"
    first, *others = lines(folder)
    before = [{**first, "config": {"note": "x" * BYTES}}, *others]
    (folder / "out" / "results.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in before))
    code = ended(folder, number, room=BYTES - chance(number, "room").randrange(BYTES // 2))
    if code != 1 or "results.jsonl could not be written" not in said(folder):
        return f"exit code {code}: {said(folder)}"
    if lines(folder) != before:
        return f"lost: {lines(folder)}"
    return completes(folder, before)


FAULTS = [
    Fault("kill -9 and SIGTERM to `stn reproduce`", "a finished run lost, or trained twice; results damaged", 50, 2, killed),
    Fault("no room for the results of `stn reproduce`", "a finished run lost, no clear message", 20, 1, full),
]
