"""Tables of experiments: what is run for each cell, and the number that a paper has there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stn_lightning._yaml import read_yaml

PACKAGE = Path(__file__).parents[1]
CONFIGS = PACKAGE / "configs" if (PACKAGE / "configs").is_dir() else PACKAGE.parent / "configs"  # of a wheel, of a checkout
PARTS = {"title", "source", "metric", "best", "recipes", "rows"}
OPTIONAL = {"pairs"}
CELL = {"experiment", "options", "paper"}
BEST = ("lowest", "highest")
USUAL_RECIPE = "fast"


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
        row: its name.
        column: its name.
        experiment: a config of ``stn fit``.
        options: further options of ``stn fit`` by their dotted names.
        paper: the number of ``Table.source``, in %; None where it has none.
    """

    row: str
    column: str
    experiment: Path
    options: Mapping[str, Any]
    paper: float | None

    @property
    def place(self) -> tuple[str, str]:
        """Row and column."""
        return self.row, self.column


class Table(NamedTuple):
    """A table of experiments.

    Attributes:
        name: of its file.
        title: what it is.
        source: of the numbers ``paper``; None where there are none.
        metric: what ``stn test`` logs, a share, such as ``test/error``.
        best: ``lowest`` or ``highest``.
        recipes: configs of training by the names that ``--recipe`` takes.
        cells: row by row.
        pairs: rows with what each is compared with, such as the one without a transformer.
    """

    name: str
    title: str
    source: str | None
    metric: str
    best: str
    recipes: Mapping[str, Path]
    cells: tuple[Cell, ...]
    pairs: Mapping[str, str]

    @property
    def rows(self) -> list[str]:
        """Names, in order."""
        return list(dict.fromkeys(cell.row for cell in self.cells))

    @property
    def columns(self) -> list[str]:
        """Names, in order."""
        return list(dict.fromkeys(cell.column for cell in self.cells))

    @property
    def usual_recipe(self) -> str:
        """``fast``, else the first."""
        return USUAL_RECIPE if USUAL_RECIPE in self.recipes else next(iter(self.recipes))


def read_table(asked: str) -> Table:
    """The table of a name under ``configs/table``, or of a file.

    Raises:
        FileNotFoundError: if there is none, or a config that it names is missing.
        ValueError: naming the file and the place in it, for what is no table.
    """
    file = Path(asked) if asked.endswith((".yaml", ".yml")) else CONFIGS / "table" / f"{asked}.yaml"
    if not file.is_file():
        names = ", ".join(sorted(path.stem for path in (CONFIGS / "table").glob("*.yaml")))
        raise FileNotFoundError(f"no table {asked}: expected a file .yaml or one of {names or 'none'}")
    given = read_yaml(file)
    try:
        return _table(file, given)
    except (ValueError, FileNotFoundError) as e:
        raise type(e)(f"{file}: {e}") from e


def folder_name(name: str) -> str:
    """A name of a row or a column as that of a folder."""
    return re.sub(r"[^\w.+-]+", "-", name)


def _table(file: Path, given: Any) -> Table:
    if not isinstance(given, dict) or not PARTS <= set(given) <= PARTS | OPTIONAL:
        raise ValueError(f"expected {', '.join(sorted(PARTS))} and perhaps {', '.join(OPTIONAL)}, got {_keys(given)}")
    for part in ("title", "metric"):
        _named(given[part], part)
    if given["source"] is not None:
        _named(given["source"], "source")
    if given["best"] not in BEST:
        raise ValueError(f"best: expected {' or '.join(BEST)}, got {given['best']!r}")
    recipes = {
        _named(name, "a recipe"): _config(file, path, f"recipes, {name}") for name, path in _items(given["recipes"], "recipes")
    }
    cells = [
        _cell(file, _named(row, "a row"), _named(column, "a column"), cell)
        for row, columns in _items(given["rows"], "rows")
        for column, cell in _items(columns, str(row))
    ]
    for names in ({cell.row for cell in cells}, {cell.column for cell in cells}, set(recipes)):
        if len({folder_name(name).casefold() for name in names}) < len(names):
            raise ValueError(f"expected names that differ in letters and digits, got {', '.join(sorted(names))}")
    pairs = dict(_items(given["pairs"], "pairs")) if "pairs" in given else {}
    rows = {cell.row for cell in cells}
    for row, other in pairs.items():
        if not {row, other} <= rows or row == other:
            raise ValueError(f"pairs: expected two of {', '.join(sorted(rows))}, got {row!r} and {other!r}")
    return Table(file.stem, given["title"], given["source"], given["metric"], given["best"], recipes, tuple(cells), pairs)


def _cell(file: Path, row: str, column: str, given: Any) -> Cell:
    place = f"{row}, {column}"
    if not isinstance(given, dict) or not {"experiment"} <= set(given) <= CELL:
        raise ValueError(f"{place}: expected experiment and perhaps options and paper, got {_keys(given)}")
    options, paper = given.get("options", {}), given.get("paper")
    if not isinstance(options, dict) or not all(isinstance(name, str) for name in options):
        raise ValueError(f"{place}: expected options of `stn fit` by their dotted names, got {options!r}")
    if paper is not None and (isinstance(paper, bool) or not isinstance(paper, int | float)):
        raise ValueError(f"{place}: expected a number as paper, got {paper!r}")
    return Cell(row, column, _config(file, given["experiment"], place), options, paper)


def _config(table: Path, given: Any, place: str) -> Path:
    file = (table.parent / _named(given, place)).resolve()
    if not file.is_file():
        raise FileNotFoundError(f"{place}: no config {given}")
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def _items(given: Any, place: str) -> list[tuple[Any, Any]]:
    if not isinstance(given, dict) or not given:
        raise ValueError(f"{place}: expected at least one name with what it is, got {given!r}")
    return list(given.items())


def _named(given: Any, place: str) -> str:
    if not isinstance(given, str) or not given.strip():
        raise ValueError(f"{place}: expected a text, got {given!r}")
    return given


def _keys(given: Any) -> str:
    return ", ".join(map(str, given)) if isinstance(given, dict) else repr(given)
