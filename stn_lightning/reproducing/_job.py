"""The runs of a plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stn_lightning.reproducing._table import Cell, Table, folder_name

KEY = ("table", "row", "column", "recipe", "seed", "experiment", "options", "further")
ELSEWHERE = ("--data.root=", "--data.download=", "--data.num_workers=")  # options that do not change what is learnt


class Job(NamedTuple):
    """A run: one training with its test.

    Attributes:
        key: what tells it from others: ``table``, ``row``, ``column``, ``recipe``, ``seed``, ``experiment`` (the name of its
            file), ``options`` of the cell and ``further`` ones, as on the command line.
        metric: that the table shows.
        arguments: of ``stn fit``, the folder left out.
        folder: of its runs ``version_N``.
        threads: of its process; None for what the machine gives.
    """

    key: Mapping[str, Any]
    metric: str
    arguments: tuple[str, ...]
    folder: Path
    threads: int | None = None

    @property
    def name(self) -> str:
        """For the screen."""
        return f"{self.key['row']} / {self.key['column']}, {self.key['recipe']}, seed {self.key['seed']}"

    def is_of(self, line: Mapping[str, Any]) -> bool:
        """Whether a finished run is this one."""
        return has(line, self.key)


def plan(
    table: Table, places: Sequence[str], seeds: int, recipe: str | None, further: Sequence[str], output: Path
) -> list[Job]:
    """The runs of a table, seed by seed: after those of a seed every cell has as many.

    Args:
        table: of experiments.
        places: rows, as ``ROW``, and cells, as ``ROW/COLUMN``; empty for all.
        seeds: how many: 0 to ``seeds - 1``.
        recipe: a name of ``table.recipes``; None for the usual one.
        further: options of ``stn fit``, which come last.
        output: folder of the table.

    Raises:
        ValueError: for a place or a recipe that the table does not have, naming those that it has.
    """
    recipe = table.usual_recipe if recipe is None else recipe
    if recipe not in table.recipes:
        raise ValueError(f"expected --recipe {' or '.join(table.recipes)}, got {recipe}")
    cells = _chosen(table, places)
    return [_job(table, cell, seed, recipe, further, output) for seed in range(seeds) for cell in cells]


def has(line: Mapping[str, Any], key: Mapping[str, Any]) -> bool:
    """Whether a finished run is the one of a key."""
    return all(line[name] == value for name, value in key.items())


def as_options(given: Mapping[str, Any]) -> list[str]:
    """Options as on the command line."""
    return [f"--{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in given.items()]


def _chosen(table: Table, places: Sequence[str]) -> list[Cell]:
    possible = {*table.rows, *(f"{cell.row}/{cell.column}" for cell in table.cells)}
    if unknown := [place for place in places if place not in possible]:
        rows, columns = ", ".join(table.rows), ", ".join(table.columns)
        raise ValueError(f"--rows: expected ROW or ROW/COLUMN of rows {rows} and columns {columns}, got {', '.join(unknown)}")
    return [cell for cell in table.cells if not places or {cell.row, f"{cell.row}/{cell.column}"} & set(places)]


def _job(table: Table, cell: Cell, seed: int, recipe: str, further: Sequence[str], output: Path) -> Job:
    options = as_options(cell.options)
    told = [option for option in further if not option.startswith(ELSEWHERE)]
    key = dict(zip(KEY, (table.name, *cell.place, recipe, seed, cell.experiment.name, options, told), strict=True))
    configs = ["-c", str(cell.experiment), "-c", str(table.recipes[recipe])]
    mark = hashlib.sha256(json.dumps([cell.experiment.name, options, told]).encode()).hexdigest()[:8]
    folder = output / folder_name(cell.row) / folder_name(cell.column) / f"{folder_name(recipe)}-{mark}" / f"seed-{seed}"
    return Job(key, table.metric, (*configs, *options, *further, f"--seed_everything={seed}"), folder)
