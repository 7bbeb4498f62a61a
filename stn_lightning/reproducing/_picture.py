"""A dot plot of a table: a panel for each column, our means with error bars, the paper's numbers as marks."""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from stn_lightning.reproducing._axis import Axis, axis
from stn_lightning.reproducing._cells import Group, mean_and_error
from stn_lightning.reproducing._table import Table

FINER = 2  # drawn so many times larger, and reduced
UNIT = 2 * FINER  # pixels of a drawn point
FONT, ROW, GAP, HEAD, FOOT = 11, 24, 18, 62, 34  # points
PANEL, LEGEND = 170, 560  # width of a panel at least, and of all
INK, PALE, BAND, RULE, OURS, SEED, PAPER = "black", "#8a8a8a", "#f3f3f3", "#d5d5d5", "#1f5fbf", "#a9c4ee", "#e0662b"


class Pen(NamedTuple):
    """Draws in points."""

    draw: ImageDraw.ImageDraw

    def text(self, x: float, y: float, text: str, anchor: str, fill: str = INK, size: float = FONT) -> None:
        """A text in one line."""
        self.draw.text((x * UNIT, y * UNIT), text, fill=fill, anchor=anchor, font=ImageFont.load_default(size * UNIT))

    def line(self, x0: float, y0: float, x1: float, y1: float, fill: str, width: float = 1) -> None:
        """A straight line."""
        self.draw.line((x0 * UNIT, y0 * UNIT, x1 * UNIT, y1 * UNIT), fill=fill, width=round(width * UNIT))

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: str) -> None:
        """A rectangle."""
        self.draw.rectangle((x0 * UNIT, y0 * UNIT, x1 * UNIT, y1 * UNIT), fill=fill)

    def dot(self, x: float, y: float, radius: float, fill: str) -> None:
        """A disk."""
        self.draw.ellipse([v * UNIT for v in (x - radius, y - radius, x + radius, y + radius)], fill=fill)


def picture(table: Table, group: Group) -> Image.Image:
    """The dot plot of a group of runs; errors, of which lower is better, on a logarithmic axis."""
    font = ImageFont.load_default(FONT)
    left = GAP + max(font.getlength(row) for row in table.rows)
    panel = max(PANEL, LEGEND / len(table.columns))
    width = left + len(table.columns) * (panel + GAP) + GAP
    height = HEAD + len(table.rows) * ROW + FOOT
    image = Image.new("RGB", (round(width * UNIT), round(height * UNIT)), "white")
    pen = Pen(ImageDraw.Draw(image))
    pen.text(
        GAP / 2,
        14,
        f"{table.title}, recipe {group.recipe}{' ' if group.further else ''}{' '.join(group.further)}",
        "lm",
        size=13,
    )
    _legend(pen, table, GAP / 2, 33)
    for i, row in enumerate(table.rows):
        pen.text(GAP / 2, HEAD + (i + 0.5) * ROW, row, "lm")
    for i, column in enumerate(table.columns):
        _panel(pen, table, group, column, (left + GAP + i * (panel + GAP), panel))
    return image.reduce(FINER)


def _legend(pen: Pen, table: Table, x: float, y: float) -> None:
    font = ImageFont.load_default(FONT)
    for kind, text in (("ours", "mean ± standard error"), ("seed", "a seed"), ("paper", table.source or "")):
        if text:
            _mark(pen, kind, x + 6, y)
            pen.text(x + 16, y, text, "lm")
            x += 16 + font.getlength(text) + GAP
    scale = ", logarithmic" if table.best == "lowest" else ""
    pen.text(x, y, f"{table.metric} in %{scale}", "lm", PALE)


def _mark(pen: Pen, kind: str, x: float, y: float) -> None:
    if kind == "paper":
        pen.line(x, y - 7, x, y + 7, PAPER, 2)
    else:
        pen.dot(x, y, *((4.0, OURS) if kind == "ours" else (2.5, SEED)))


def _panel(pen: Pen, table: Table, group: Group, column: str, span: tuple[float, float]) -> None:
    cells = {cell.row: cell for cell in table.cells if cell.column == column}
    values = {row: group.values(table, cell.place) for row, cell in cells.items()}
    papers = {row: cell.paper for row, cell in cells.items() if cell.paper is not None}
    scale = axis([*(v for found in values.values() for v in found), *papers.values()], table.best == "lowest")
    left, width = span
    bottom = HEAD + len(table.rows) * ROW
    pen.text(left + width / 2, HEAD - 10, column, "mm")
    for i in range(0, len(table.rows), 2):
        pen.box(left, HEAD + i * ROW, left + width, HEAD + (i + 1) * ROW, BAND)
    for tick in scale.ticks:
        x = left + width * scale.place(tick)
        pen.line(x, HEAD, x, bottom, RULE, 0.5)
        pen.text(x, bottom + 10, f"{tick:g}", "mm", PALE, FONT - 1)
    for i, row in enumerate(table.rows):
        if row in cells:
            _row(pen, scale, values[row], papers.get(row), span, HEAD + (i + 0.5) * ROW)


def _row(pen: Pen, scale: Axis, values: list[float], paper: float | None, span: tuple[float, float], y: float) -> None:
    left, width = span

    def place(value: float) -> float:
        return left + width * scale.place(value)

    if paper is not None:
        _mark(pen, "paper", place(paper), y)
    if not values:
        is_left_free = paper is not None and scale.place(paper) > 0.5
        pen.text(left + (6 if is_left_free else width - 6), y, "not run", "lm" if is_left_free else "rm", PALE, FONT - 1)
        return
    mean, error = mean_and_error(values)
    for value in values:
        _mark(pen, "seed", place(value), y)
    if error is not None:
        pen.line(place(mean - error), y, place(mean + error), y, OURS, 1.5)
    _mark(pen, "ours", place(mean), y)
