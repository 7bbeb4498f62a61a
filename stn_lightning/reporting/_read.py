"""The runs below folders: what each was asked, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stn_lightning._yaml import read_json, read_yaml

CONFIG, SUMMARY = "config.yaml", "summary.json"
NO_FIT = ("verbose", "return_predictions")  # options of the other commands
NUMBERS = ("parameters", "steps", "epochs", "seconds")


class LeftOut(NamedTuple):
    """A folder that no row is of, and why."""

    folder: Path
    why: str


class Run(NamedTuple):
    """A run that came to its end.

    Attributes:
        folder: ``version_N``.
        config: its ``config.yaml``.
        summary: its ``summary.json``, as ``callbacks.RunSummary`` writes it.
    """

    folder: Path
    config: Mapping[str, Any]
    summary: Mapping[str, Any]

    @property
    def begun_from(self) -> Path | None:
        """The folder of the run whose checkpoint this one began with.

        Where runs have been moved since, it is looked for beside this one.
        """
        file = self.config.get("ckpt_path") and self.summary.get("checkpoint")
        if not file:
            return None
        folder = Path(file).parent.parent
        moved = self.folder.absolute().parent / folder.name
        return moved if not folder.is_dir() and moved.is_dir() else folder


def find_runs(paths: Iterable[Path]) -> tuple[list[Run], list[LeftOut]]:
    """The runs in folders, and what looks like one and is none.

    An interrupted run that another one of them went on with is neither.

    Args:
        paths: folders of runs, ``version_N``, and such above them.

    Raises:
        FileNotFoundError: for a path that is no folder, or has no run below it.
    """
    runs: list[Run] = []
    left_out: list[LeftOut] = []
    for folder in dict.fromkeys(folder.resolve() for path in paths for folder in _folders(path)):
        try:
            run = _read(folder)
        except (ValueError, OSError) as e:
            left_out.append(LeftOut(folder, str(e)))
        else:
            runs += [] if run is None else [run]
    continued = {run.begun_from for run in runs if run.summary["stage"] == "fit"}
    return runs, [each for each in left_out if each.folder not in continued or not (each.folder / CONFIG).is_file()]


def _folders(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        raise FileNotFoundError(f"expected a folder of runs: {path} is {'a file' if path.exists() else 'not there'}")
    below = sorted((p for p in path.rglob("version_*") if p.is_dir()), key=_in_order)
    if (path / CONFIG).exists() or path.name.startswith("version_"):
        yield path
    elif not below:
        raise FileNotFoundError(f"no runs in {path}: expected version_N/{CONFIG} in it or in a folder of it")
    yield from below


def _in_order(folder: Path) -> tuple[str, int, str]:
    number = folder.name.removeprefix("version_")
    return str(folder.parent), int(number) if number.isdigit() else -1, number


def _read(folder: Path) -> Run | None:
    """The run of a folder; None for what trains nothing and left no summary, such as a ``predict``."""
    config_file, summary_file = folder / CONFIG, folder / SUMMARY
    if not config_file.is_file():
        raise ValueError(f"it has no {CONFIG}: it is not of `stn fit` or `stn test`, or had no logger")
    try:
        config = read_yaml(config_file)
    except ValueError as e:
        raise ValueError(f"{CONFIG} is damaged: {e}") from e
    if not isinstance(config, dict) or not all(isinstance(config.get(part), dict) for part in ("model", "data", "trainer")):
        raise ValueError(f"{CONFIG} is not of `stn`: expected model, data and trainer in it")
    if not summary_file.is_file():
        if any(option in config for option in NO_FIT):
            return None
        raise ValueError(f"it has no {SUMMARY}: it did not come to its end")
    try:
        summary = read_json(summary_file)
    except ValueError as e:
        raise ValueError(f"{SUMMARY} is damaged: {e}") from e
    if not isinstance(summary, dict) or not _is_whole(summary):
        raise ValueError(f"{SUMMARY} is damaged: expected stage, metrics, {', '.join(NUMBERS)}")
    return Run(folder, config, summary)


def _is_whole(summary: Mapping[str, Any]) -> bool:
    metrics = summary.get("metrics")
    return (
        summary.get("stage") in ("fit", "test")
        and isinstance(metrics, dict)
        and all(isinstance(value, int | float) for value in (*metrics.values(), *(summary.get(n) for n in NUMBERS)))
    )
