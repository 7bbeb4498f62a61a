"""What is next for a run, by what lies in its folder: training, a test of its best checkpoint, nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from stn_lightning._files import whole_file
from stn_lightning._yaml import read_json
from stn_lightning.checkpoints import read_checkpoint
from stn_lightning.reporting import Run, find_runs
from stn_lightning.reproducing._code import code, versions
from stn_lightning.reproducing._job import Job
from stn_lightning.reproducing._results import Line

STN = [sys.executable, "-m", "stn_lightning"]
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
CHECKPOINTS = "version_*/checkpoints/*.ckpt"
STARTED = "started.json"


class Stage(NamedTuple):
    """A process of a run.

    Attributes:
        kind: ``fit`` or ``test``.
        command: what is run.
        goes_on: whether it resumes.
    """

    kind: str
    command: list[str]
    goes_on: bool = False


def next_stage(job: Job) -> Stage | None:
    """What is to be done; None where all is done.

    A training that was stopped goes on from its last checkpoint; one that has none yet starts anew.
    """
    fit, test = _finished(job)
    folder = [f"--trainer.default_root_dir={job.folder}", *QUIET]
    if test is not None:
        return None
    if fit is not None:
        best = fit.folder / "checkpoints" / "best.ckpt"
        return Stage("test", [*STN, "test", "-c", str(fit.folder / "config.yaml"), f"--ckpt_path={best}", *folder])
    command = [*STN, "fit", *job.arguments, *folder]
    goes_on = any(job.folder.glob(CHECKPOINTS))
    return Stage("fit", [*command, "--ckpt_path=last"] if goes_on else command, goes_on)


def note_start(job: Job, threads: int) -> None:
    """Writes down which code a training is done with, of one that goes on also the one before."""
    file = job.folder / STARTED
    now = code()
    before: dict[str, Any] = read_json(file) if file.exists() else {"commit": "", "dirty": False}
    commits = [commit for commit in before["commit"].split(", ") if commit and commit != now.commit]
    started = {"commit": ", ".join([*commits, now.commit]), "dirty": now.dirty or before["dirty"], "threads": threads}
    with whole_file(file) as stream:
        stream.write(f"{json.dumps(started)}\n".encode())


def finished_line(job: Job) -> Line:
    """A finished run as a line of results.

    Raises:
        ValueError: if its folder is not that of a finished run, or its test has no number for the table.
    """
    fit, test = _finished(job)
    if fit is None or test is None:
        raise ValueError(f"{job.folder}: the run is not finished")
    if job.metric not in test.summary["metrics"]:
        raise ValueError(f"{job.folder}: expected {job.metric} of `stn test`, got {', '.join(test.summary['metrics'])}")
    best = read_checkpoint(fit.folder / "checkpoints" / "best.ckpt")
    kept = next(state for name, state in best["callbacks"].items() if "best_model_score" in state)
    monitored = {} if kept["monitor"] is None else {kept["monitor"]: float(kept["best_model_score"])}
    return {
        **job.key,
        "metric": job.metric,
        "test": test.summary["metrics"],
        "validation": monitored,
        "best_epoch": best["epoch"],
        **{name: fit.summary[name] for name in ("parameters", "steps", "seconds", "device")},
        **read_json(job.folder / STARTED),
        "versions": versions(),
        "config": _anywhere(fit.config),
    }


def _anywhere(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config without what is of this machine."""
    return {**config, "trainer": {**config["trainer"], "default_root_dir": None}, "ckpt_path": None}


def _finished(job: Job) -> tuple[Run | None, Run | None]:
    """The newest training that came to its end, and the newest test of it."""
    try:
        runs, _ = find_runs([job.folder])
    except FileNotFoundError:
        return None, None
    fit = next((run for run in reversed(runs) if run.summary["stage"] == "fit"), None)
    tests = (run for run in reversed(runs) if run.summary["stage"] == "test")
    return fit, None if fit is None else next((test for test in tests if test.begun_from == fit.folder), None)
