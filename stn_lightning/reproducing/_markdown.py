"""A table of results in Markdown, beside the paper's numbers."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from stn_lightning.reporting import duration
from stn_lightning.reproducing._cells import Group, mean_and_error
from stn_lightning.reproducing._table import Cell, Table


def markdown(table: Table, group: Group) -> str:
    """What the numbers are, the table, and what it took."""
    cells = {cell.place: cell for cell in table.cells}
    lines = [f"`{command(table, group)}`", "", _caption(table), ""]
    lines += [f"| | {' | '.join(table.columns)} |", f"|-|{'-:|' * len(table.columns)}"]
    for row in table.rows:
        texts = [_cell(group.values(table, (row, column)), cells.get((row, column))) for column in table.columns]
        lines.append(f"| {' | '.join(text.replace('|', '&#124;') for text in (row, *texts))} |")
    return "\n".join([*lines, *(["", _effort(group)] if group.lines else [])]) + "\n"


def command(table: Table, group: Group) -> str:
    """What makes the runs of a group."""
    seeds = max((line["seed"] + 1 for line in group.lines), default=1)
    further = ["--", *group.further] if group.further else []
    return shlex.join(["stn", "reproduce", table.name, "--recipe", group.recipe, "--seeds", str(seeds), *further])


def _caption(table: Table) -> str:
    paper = f"; in brackets the numbers of {table.source}" if any(cell.paper is not None for cell in table.cells) else ""
    better = {"lowest": "lower", "highest": "higher"}[table.best]
    means = "mean ± standard error over n seeds, the best epoch chosen on validation data"
    return f"`{table.metric}` in %, {better} is better: {means}{paper}."


def _cell(values: Sequence[float], cell: Cell | None) -> str:
    if cell is None:
        return ""
    text = "not run"
    if values:
        mean, error = mean_and_error(values)
        text = f"{mean:.2f}{'' if error is None else f' ± {error:.2f}'}, n = {len(values)}"
    return text if cell.paper is None else f"{text} ({cell.paper})"


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
