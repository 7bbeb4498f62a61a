"""Rows as text: Markdown, CSV, LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence

from stn_lightning.reporting._rows import Row

HEADINGS = ("configuration", "metric", "error in %", "n", "parameters", "steps", "time", "device", "repeat by")
RIGHT = {"error in %", "n", "parameters", "steps", "time"}
TEX = {c: f"\\{c}" for c in "&%$#_{}"} | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def markdown(rows: Sequence[Row]) -> str:
    """A table of GitHub's Markdown."""
    rule = ["-:" if heading in RIGHT else "-" for heading in HEADINGS]
    lines = [HEADINGS, rule, *([cell.replace("|", "\\|") for cell in _cells(row, "±", "`")] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def latex(rows: Sequence[Row]) -> str:
    """A ``tabular`` of the package booktabs; the commands follow as comments, since no column is so wide."""
    columns = "".join("r" if heading in RIGHT else "l" for heading in HEADINGS[:-1])
    lines = [[_tex(heading) for heading in HEADINGS[:-1]]]
    lines += [[_tex(cell).replace("±", r"$\pm$") for cell in _cells(row, "±", "")[:-1]] for row in rows]
    head, *body = [f"{' & '.join(line)} \\\\" for line in lines]
    table = [f"\\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    return "\n".join([*table, *(f"% {row.configuration}: {row.command}" for row in rows)]) + "\n"


def comma_separated(rows: Sequence[Row]) -> str:
    """CSV with numbers as they are: errors as shares, time in seconds; seeds are separated by spaces."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(Row._fields)
    for row in rows:
        writer.writerow(row._replace(seeds=" ".join(map(str, row.seeds))))  # type: ignore[arg-type]
    return text.getvalue()


FORMATS: dict[str, Callable[[Sequence[Row]], str]] = {"markdown": markdown, "csv": comma_separated, "latex": latex}


def _cells(row: Row, plus_minus: str, code: str) -> list[str]:
    spread = "" if row.spread is None else f" {plus_minus} {100 * row.spread:.2f}"
    return [
        row.configuration,
        row.metric,
        f"{100 * row.error:.2f}{spread}",
        str(len(row.seeds)),
        f"{row.parameters:,}",
        f"{row.steps:,.0f}",
        duration(row.seconds),
        row.device,
        f"{code}{row.command}{code}",
    ]


def duration(seconds: float) -> str:
    """A time in words: ``12 min 05 s``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _tex(text: str) -> str:
    return "".join(TEX.get(character, character) for character in text)
