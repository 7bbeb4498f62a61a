"""Tables and pictures of results, and their place in a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stn_lightning._files import whole_file
from stn_lightning.reproducing._cells import groups
from stn_lightning.reproducing._markdown import markdown
from stn_lightning.reproducing._picture import picture
from stn_lightning.reproducing._results import Line
from stn_lightning.reproducing._table import Table

END = "<!-- end of table -->\n"


def begin(name: str) -> str:
    """What stands in a page before the part of a table."""
    return f"<!-- table {name} -->\n"


def written(table: Table, lines: Sequence[Line], pictures: str) -> str:
    """Tables and links to pictures in Markdown, a table for each recipe with the same further options.

    Args:
        table: of experiments.
        lines: finished runs.
        pictures: path of the pictures, seen from the page, without number and suffix.
    """
    parts = [markdown(table, group) for group in groups(table, lines)]
    links = [
        f"![{table.title}: a dot is a mean, a mark the paper's]({_file(pictures, i)})\n" if lines else ""
        for i in range(len(parts))
    ]
    return "\n".join(f"{part}\n{link}" if link else part for part, link in zip(parts, links, strict=True))


def save_pictures(table: Table, lines: Sequence[Line], pictures: str) -> None:
    """Draws the groups that ``written`` has, if there is a run.

    Args:
        table: of experiments.
        lines: finished runs.
        pictures: path of the pictures without number and suffix.

    Raises:
        OSError: if one cannot be written.
    """
    for i, group in enumerate(groups(table, lines) if lines else []):
        with whole_file(Path(_file(pictures, i))) as stream:
            picture(table, group).save(stream, "png", optimize=True)


def replace_part(page: Path, name: str, part: str) -> None:
    """Replaces what stands in a page between the marks of a table.

    Raises:
        ValueError: if the page has no such marks.
    """
    before, after = around(page, name)
    with whole_file(page) as stream:
        stream.write(f"{before}\n{part}\n{after}".encode())


def around(page: Path, name: str) -> tuple[str, str]:
    """What stands in a page before the part of a table, and behind it, with the marks.

    Raises:
        ValueError: if the page has no such marks.
    """
    text = page.read_text(encoding="utf-8")
    before, mark, rest = text.partition(begin(name))
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"{page}: expected {begin(name).strip()} and {END.strip()}, each in a line of its own")
    return before + mark, end + after


def _file(pictures: str, number: int) -> str:
    return f"{pictures}{f'-{number + 1}' if number else ''}.png"
