"""Rows of a report: the runs of a configuration together, whatever their seeds."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from stn_lightning.reporting._read import CONFIG, LeftOut, Run

ERROR = "error"
SEED = "seed_everything"
# what cannot change what is learnt
ELSEWHERE = (
    SEED,
    "ckpt_path",
    "weights_only",
    *(f"trainer.{name}" for name in ("default_root_dir", "enable_progress_bar", "enable_model_summary", "logger")),
)
# of data, what cannot change what is tested
TRAINING_DATA = ("root", "download", "batch_size", "num_workers", "seed", "images")


class Row(NamedTuple):
    """A configuration and the runs of it.

    Attributes:
        configuration: the options in which it differs from the other rows; the folder of its runs where there is no other row.
        seeds: of its runs.
        metric: ``test/error`` and the checkpoint that was tested, such as ``best``; or ``val/error`` at the end of the fits.
        error: mean over seeds.
        spread: standard deviation over seeds, of n - 1 degrees of freedom; None for one seed.
        parameters: of the network.
        steps: of training, mean over seeds.
        seconds: of training, validation included, mean over seeds.
        device: what it was trained on; several where they differ.
        command: repeats it for all seeds.
    """

    configuration: str
    seeds: list[Any]
    metric: str
    error: float
    spread: float | None
    parameters: int
    steps: float
    seconds: float
    device: str
    command: str


def rows(runs: Sequence[Run]) -> tuple[list[Row], list[LeftOut]]:
    """A row for each configuration, in the order of the runs, and the runs that are in none.

    A configuration is everything in ``config.yaml`` but the seed, and what cannot change what is learnt, such as the folder.
    Its error is that of the test of a checkpoint of each of its runs, ``best`` before ``last``; where not all have been
    tested, that of their last validation. Of two runs of one seed, or two tests of one checkpoint, the later counts.

    Args:
        runs: fits and tests, as ``find_runs`` gives them.
    """
    left_out: list[LeftOut] = []
    configurations: dict[str, dict[Any, Run]] = {}
    for run in runs:
        if run.summary["stage"] == "fit":
            key = json.dumps({k: v for k, v in _leaves(run.config) if k not in ELSEWHERE}, sort_keys=True, default=str)
            seed = run.config.get(SEED)
            same = configurations.setdefault(key, {})
            if seed in same and seed is not False:
                left_out.append(LeftOut(same[seed].folder, f"{run.folder} repeats it: same configuration, same seed {seed}"))
            same[run.folder if seed is False else seed] = run
    kept = {run.folder: run for same in configurations.values() for run in same.values()}
    tests: dict[Path, dict[str, float]] = {}
    for run in runs:
        if run.summary["stage"] == "test":
            why = _why_no_test(run, kept)
            if why:
                left_out.append(LeftOut(run.folder, why))
            elif run.begun_from is not None and f"test/{ERROR}" in run.summary["metrics"]:
                name = Path(run.summary["checkpoint"]).stem
                tests.setdefault(run.begun_from, {})[name] = run.summary["metrics"][f"test/{ERROR}"]
    groups = [list(same.values()) for same in configurations.values()]
    names = _names([group[0] for group in groups])
    found = []
    for group, name in zip(groups, names, strict=True):
        errors = _errors(group, tests)
        if errors is None:
            left_out += [LeftOut(run.folder, f"it has neither a test/{ERROR} nor a val/{ERROR}") for run in group]
        else:
            found.append(_row(group, name, *errors))
    return found, left_out


def _why_no_test(test: Run, fits: Mapping[Path, Run]) -> str | None:
    source = test.begun_from
    if source is None:
        return "it tests untrained weights"
    if source not in fits:
        return f"it tests a run that is not among these: {source}"
    ours, theirs = (_tested_data(run.config["data"]) for run in (test, fits[source]))
    return None if ours == theirs else f"it tests {source} on other data than that run's own"


def _tested_data(config: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in _leaves(config) if k.removeprefix("init_args.") not in TRAINING_DATA}


def _errors(group: Sequence[Run], tests: Mapping[Path, Mapping[str, float]]) -> tuple[str, list[float]] | None:
    """What is compared, and its value of each run."""
    tested = [tests.get(run.folder, {}) for run in group]
    for checkpoint in dict.fromkeys(("best", "last", *tested[0])):
        if all(checkpoint in each for each in tested):
            return f"test/{ERROR} ({checkpoint})", [each[checkpoint] for each in tested]
    metrics = [run.summary["metrics"] for run in group]
    validated = f"val/{ERROR}"
    return (validated, [each[validated] for each in metrics]) if all(validated in each for each in metrics) else None


def _row(group: Sequence[Run], name: str, metric: str, errors: Sequence[float]) -> Row:
    seeds = [run.config.get(SEED) for run in group]
    file = shlex.quote(os.path.relpath(group[0].folder / CONFIG))
    resumed = " --ckpt_path=null" if group[0].config.get("ckpt_path") else ""
    command = f"stn fit -c {file}{resumed}"
    if len(set(seeds)) > 1:
        command = f"for seed in {' '.join(map(str, seeds))}; do {command} --{SEED}=$seed; done"
    mean = {key: fmean(run.summary[key] for run in group) for key in ("steps", "seconds")}
    return Row(
        name,
        seeds,
        metric,
        fmean(errors),
        stdev(errors) if len(errors) > 1 else None,
        group[0].summary["parameters"],
        device=", ".join(dict.fromkeys(str(run.summary.get("device", "")) for run in group)),
        command=command,
        **mean,
    )


def _names(runs: Sequence[Run]) -> list[str]:
    """The options in which runs differ: ``model.transform=affine``."""
    if len(runs) == 1:
        return [runs[0].folder.parent.name]
    options = [
        {k.replace(".init_args", "").removesuffix(".class_path"): v for k, v in _leaves(run.config) if k not in ELSEWHERE}
        for run in runs
    ]
    keys = dict.fromkeys(key for each in options for key in each)
    differing = [key for key in keys if len({json.dumps(each[key], default=str) for each in options if key in each}) > 1]
    return [", ".join(f"{key}={_short(each[key])}" for key in differing if key in each) for each in options]


def _leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(config, Mapping) and config:
        for key, value in config.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, config


def _short(value: Any) -> str:
    """A value as on the command line; of a class path its name."""
    if isinstance(value, str):
        return value.rpartition(".")[2] if value.count(".") > 1 and "/" not in value else value
    return json.dumps(value, default=str)
