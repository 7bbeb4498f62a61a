"""Finished runs as cells of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from stn_lightning.reproducing._job import as_options
from stn_lightning.reproducing._results import Line
from stn_lightning.reproducing._table import Table


class Group(NamedTuple):
    """The runs of a table that can be compared.

    Attributes:
        recipe: their recipe.
        further: their further options.
        cells: runs by row and column, by rising seeds.
    """

    recipe: str
    further: Sequence[str]
    cells: Mapping[tuple[str, str], Sequence[Line]]

    @property
    def lines(self) -> list[Line]:
        """All runs."""
        return [line for lines in self.cells.values() for line in lines]

    def values(self, table: Table, place: tuple[str, str]) -> list[float]:
        """Of the runs of a cell, in %."""
        return list(self._by_seed(table, place).values())

    def differences(self, table: Table, place: tuple[str, str], other: tuple[str, str]) -> list[float]:
        """Of the runs of two cells with the same seeds, in points: the first less the other."""
        values, others = self._by_seed(table, place), self._by_seed(table, other)
        return [value - others[seed] for seed, value in values.items() if seed in others]

    def _by_seed(self, table: Table, place: tuple[str, str]) -> dict[int, float]:
        return {line["seed"]: 100 * line["test"][table.metric] for line in self.cells.get(place, [])}


def groups(table: Table, lines: Sequence[Line]) -> list[Group]:
    """Groups in the order of the recipes, one of the usual recipe where there is no run.

    Runs of what the table does not have, or has with another experiment or other options, are left out.
    """
    ours = [line for line in lines if _is_of(table, line)]
    recipes = list(table.recipes)
    kinds = sorted({(recipes.index(line["recipe"]), tuple(line["further"])) for line in ours})
    return list(_grouped(table, ours, kinds)) or [Group(table.usual_recipe, [], {})]


def mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and standard error; the latter is None for one value."""
    return fmean(values), stdev(values) / len(values) ** 0.5 if len(values) > 1 else None


def _grouped(table: Table, lines: Sequence[Line], kinds: Sequence[tuple[int, tuple[str, ...]]]) -> Iterator[Group]:
    for number, further in kinds:
        recipe = list(table.recipes)[number]
        same = [line for line in lines if line["recipe"] == recipe and tuple(line["further"]) == further]
        found = {cell.place: [line for line in same if (line["row"], line["column"]) == cell.place] for cell in table.cells}
        yield Group(
            recipe, further, {place: sorted(runs, key=lambda line: line["seed"]) for place, runs in found.items() if runs}
        )


def _is_of(table: Table, line: Line) -> bool:
    cells = (cell for cell in table.cells if cell.place == (line["row"], line["column"]))
    known = line["table"] == table.name and line["recipe"] in table.recipes and table.metric in line["test"]
    return known and any(
        (cell.experiment.name, as_options(cell.options)) == (line["experiment"], line["options"]) for cell in cells
    )
