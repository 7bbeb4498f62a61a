"""Runs of `stn fit` whose results are compared."""

from __future__ import annotations

import json
import logging
import warnings
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from time import perf_counter
from typing import Any, NamedTuple

from lightning.pytorch import Trainer

from stn_lightning.cli import CLI
from stn_lightning.networks import count_parameters

QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]


def quiet() -> None:
    """Leaves the benchmark's own lines on the screen."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")


class Result(NamedTuple):
    """One trained network: its test error in %, parameters and seconds of training."""

    error: float
    parameters: int
    seconds: float


def train(options: Sequence[str], seed: int) -> tuple[Result, CLI]:
    """Runs `stn fit` with the options; the test images are read once, with the weights of the last epoch."""
    result, cli, _ = train_and_test(options, seed)
    return result, cli


def train_and_test(options: Sequence[str], seed: int) -> tuple[Result, CLI, dict[str, float]]:
    """As ``train``, with all metrics of the test."""
    start = perf_counter()
    cli = CLI(["fit", *options, f"--seed_everything={seed}", *QUIET])
    seconds = perf_counter() - start
    tester = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    (metrics,) = tester.test(cli.model, cli.datamodule, verbose=False)
    return Result(100 * metrics["test/error"], count_parameters(cli.model.network), seconds), cli, dict(metrics)


def complete(
    file: Path, jobs: Iterable[Mapping[str, Any]], run: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Runs the jobs that no row of the file is of, and returns all rows: a row is written when its run is finished."""
    quiet()
    file.parent.mkdir(parents=True, exist_ok=True)
    for job in jobs:
        if not any(job.items() <= row.items() for row in rows(file)):
            print(f"{', '.join(f'{key} {value}' for key, value in job.items())} ...", flush=True)
            row = {**job, **run(job)}
            with file.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
    return rows(file)


def rows(file: Path) -> list[dict[str, Any]]:
    """The finished runs."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def asked(description: str | None, models: Mapping[str, str], file: str, *more: ArgumentParser) -> tuple[Namespace, list[str]]:
    """What a benchmark of models and seeds is asked, its ``jobs`` included, and the further options of `stn fit`."""
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter, parents=more)
    parser.add_argument("--models", nargs="+", default=list(models), choices=list(models))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--file", type=Path, default=Path(file))
    arguments, options = parser.parse_known_args()
    arguments.jobs = [{"model": model, "seed": seed} for seed in arguments.seeds for model in arguments.models]
    return arguments, options


def by_model(found: Sequence[Mapping[str, Any]], models: Iterable[str]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """The models of which there are rows, and their rows by seed."""
    for model in models:
        if runs := sorted((row for row in found if row["model"] == model), key=lambda row: row["seed"]):
            yield model, runs


def in_words(errors: Sequence[float]) -> str:
    """Cells of a table: each error, their mean, and its standard error."""
    spread = f"{stdev(errors) / len(errors) ** 0.5:.2f}" if len(errors) > 1 else "-"
    return f"{', '.join(f'{error:.2f}' for error in errors)} | {fmean(errors):.2f} | {spread}"


def train_all(models: Mapping[str, Sequence[str]], seeds: Sequence[int]) -> tuple[dict[str, list[Result]], CLI]:
    """Trains each model with each seed, says what it does, and returns the results and the last run."""
    quiet()
    results: dict[str, list[Result]] = {name: [] for name in models}
    last: CLI | None = None
    for seed in seeds:
        for name, options in models.items():
            print(f"{name}, seed {seed} ...", flush=True)
            result, last = train(options, seed)
            results[name].append(result)
    if last is None:
        raise ValueError("expected at least one model and one seed")
    return results, last


def report(results: Mapping[str, Sequence[Result]]) -> None:
    """Prints a table; over several seeds the mean errors with their standard errors, and how far apart the first two are."""
    print(f"\n{'model':8} {'test error':>12} {'parameters':>12} {'seconds':>9}")
    for name, runs in results.items():
        for run in runs:
            print(f"{name:8} {run.error:10.2f} % {run.parameters:12,} {run.seconds:9.0f}")
    (plain, without), (st, with_st) = list(results.items())[:2]
    if len(without) > 1:
        means = [fmean(run.error for run in runs) for runs in (without, with_st)]
        errors = [stdev(run.error for run in runs) / len(runs) ** 0.5 for runs in (without, with_st)]
        for name, mean, error in zip((plain, st), means, errors, strict=True):
            print(f"{name:8} mean {mean:.2f} % +- {error:.2f} (standard error)")
        apart = (means[0] - means[1]) / (errors[0] ** 2 + errors[1] ** 2) ** 0.5
        print(f"ratio {st} / {plain} {means[1] / means[0]:.2f}; {apart:.1f} standard errors apart")
