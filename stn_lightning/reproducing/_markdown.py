"""A table of results in Markdown, beside the paper's numbers."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from stn_lightning.reporting import duration
from stn_lightning.reproducing._cells import Group, mean_and_error
from stn_lightning.reproducing._table import Cell, Table


def markdown(table: Table, group: Group) -> str:
    """What the numbers are, the table, its pairs of rows, and what it took."""
    cells = {cell.place: cell for cell in table.cells}
    rows = {
        row: [_cell(table, group.values(table, (row, column)), cells.get((row, column))) for column in table.columns]
        for row in table.rows
    }
    parts = [f"`{command(table, group)}`", _caption(table), _rows(table, rows)]
    pairs = {
        f"{row} - {other}": [_mean(group.differences(table, (row, at), (other, at)), sign="+") for at in table.columns]
        for row, other in table.pairs.items()
    }
    if found := {name: texts for name, texts in pairs.items() if any(texts)}:
        parts += [_caption_of_pairs(table), _rows(table, found)]
    return "\n\n".join([*parts, *([_effort(group)] if group.lines else [])]) + "\n"


def _rows(table: Table, rows: Mapping[str, Sequence[str]]) -> str:
    lines = [f"| | {' | '.join(table.columns)} |", f"|-|{'-:|' * len(table.columns)}"]
    lines += [f"| {' | '.join(text.replace('|', '&#124;') for text in (name, *texts))} |" for name, texts in rows.items()]
    return "\n".join(lines)


def command(table: Table, group: Group) -> str:
    """What makes the runs of a group."""
    seeds = max((line["seed"] + 1 for line in group.lines), default=1)
    further = ["--", *group.further] if group.further else []
    return shlex.join(["stn", "reproduce", table.name, "--recipe", group.recipe, "--seeds", str(seeds), *further])


def _caption(table: Table) -> str:
    has_paper = any(cell.paper is not None for cell in table.cells)
    paper = f"; in brackets the numbers of {table.source}, in bold what is better" if has_paper else ""
    better = {"lowest": "lower", "highest": "higher"}[table.best]
    means = "mean ± standard error over n seeds, the best epoch chosen on validation data"
    return f"`{table.metric}` in %, {better} is better: {means}{paper}."


def _caption_of_pairs(table: Table) -> str:
    side = {"lowest": "below", "highest": "above"}[table.best]
    return f"Differences of two rows in points, over the seeds that both have: {side} 0 the first is better."


def _cell(table: Table, values: Sequence[float], cell: Cell | None) -> str:
    if cell is None:
        return ""
    text = _mean(values) or "not run"
    if cell.paper is None:
        return text
    gain = (cell.paper - round(fmean(values), 2)) * {"lowest": 1, "highest": -1}[table.best] if values else 0
    return f"{f'**{text}**' if gain > 0 else text} ({cell.paper})"


def _mean(values: Sequence[float], sign: str = "") -> str:
    if not values:
        return ""
    mean, error = mean_and_error(values)
    return f"{mean:{sign}.2f}{'' if error is None else f' ± {error:.2f}'}, n = {len(values)}"


def _effort(group: Group) -> str:
    lines = group.lines
    parameters, steps = (_range(f"{n:,}" for n in sorted(line[name] for line in lines)) for name in ("parameters", "steps"))
    times = _range(duration(seconds) for seconds in sorted(line["seconds"] for line in lines))
    devices = ", ".join(sorted({line["device"] for line in lines}))
    torch = ", ".join(sorted({line["versions"]["torch"] for line in lines}))
    commits = ", ".join(sorted({f"{line['commit'][:7]}{'+' if line['dirty'] else ''}" for line in lines}))
    return (
        f"Runs: {len(lines)}; {parameters} parameters; {steps} steps; {times} of training on {devices}; torch {torch}; "
        f"commit {commits}{' (+: with changes)' if '+' in commits else ''}."
    )


def _range(sorted_texts: Iterable[str]) -> str:
    texts = list(sorted_texts)
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]} to {texts[-1]}"
