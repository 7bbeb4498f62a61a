"""The lists of CUB-200-2011: lines of an id and what belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from stn_lightning.data._bounds import LONGEST_SIDE, MOST_IDS, MOST_LINES, MOST_LIST_BYTES

T = TypeVar("T")


def rows(file: Path, columns: int) -> Iterator[tuple[str, list[str]]]:
    """Place (``file:line``) and columns of each line; blank lines are passed over.

    Args:
        file: a text; the last column goes to the end of its line.
        columns: of a line.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: for a line of fewer columns, or a file that is no text or larger than 64 MiB.
    """
    if not file.is_file():
        raise FileNotFoundError(f"no {file}, which is part of CUB-200-2011")
    if (size := file.stat().st_size) > MOST_LIST_BYTES:
        raise ValueError(f"{file} has {size} bytes; {MOST_LIST_BYTES} are the most of a list")
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if number > MOST_LINES:
                    raise ValueError(f"{file} has more lines than {MOST_LINES}")
                if cells := line.split(None, columns - 1):
                    if len(cells) < columns:
                        raise ValueError(f"{file}:{number}: expected {columns} columns, got {line.strip()[:80]!r}")
                    yield f"{file}:{number}", [cell.strip() for cell in cells]
    except UnicodeDecodeError as e:
        raise ValueError(f"{file} is not a list of CUB-200-2011: {e}") from e


def keyed(
    file: Path, columns: int, read: Callable[[str, list[str]], T], known: Container[int] | None = None, most: int = MOST_IDS
) -> dict[int, T]:
    """What a list has of each id.

    Args:
        file: the list.
        columns: of a line, the id included.
        read: makes a value of a place (``file:line``) and the columns behind the id.
        known: ids that may be there; None for any above 0.
        most: ids.

    Raises:
        ValueError: for an id that is unknown, or there twice, or too many of them; names file and line.
    """
    found: dict[int, T] = {}
    for place, (first, *cells) in rows(file, columns):
        number = identity(place, first, known)
        if number in found:
            raise ValueError(f"{place}: id {number} is there a second time")
        if len(found) == most:
            raise ValueError(f"{place}: expected at most {most} ids")
        found[number] = read(place, cells)
    return found


def identity(place: str, cell: str, known: Container[int] | None = None, of: str = "images.txt") -> int:
    """The id in a cell.

    Raises:
        ValueError: if it is none, or not known.
    """
    if not (cell.isascii() and cell.isdigit() and len(cell) < 10 and int(cell) > 0):
        raise ValueError(f"{place}: expected an id, a whole number above 0 of at most 9 digits, got {cell[:40]!r}")
    if known is not None and int(cell) not in known:
        raise ValueError(f"{place}: id {int(cell)} is not in {of}")
    return int(cell)


def flag(place: str, cell: str, title: str) -> bool:
    """Whether a cell is 1; else it is 0.

    Raises:
        ValueError: if it is neither.
    """
    if cell not in ("0", "1"):
        raise ValueError(f"{place}: expected {title}, 1 or 0, got {cell[:40]!r}")
    return cell == "1"


def numbers(place: str, cells: Sequence[str], title: str) -> list[float]:
    """The numbers in cells.

    Raises:
        ValueError: if one is none, or farther out than the largest image.
    """
    try:
        found = [float(cell) for cell in cells]
    except ValueError:
        found = [float("nan")]
    if not all(abs(number) <= LONGEST_SIDE for number in found):  # nor a NaN
        raise ValueError(f"{place}: expected {title}, got {' '.join(cells)[:80]!r}")
    return found


def complete(values: Mapping[int, T], ids: Sequence[int], file: Path) -> list[T]:
    """The values of ids, in their order.

    Raises:
        ValueError: if one has none.
    """
    if missing := [number for number in ids if number not in values]:
        raise ValueError(f"{file}: expected a line for each of {len(ids)} ids, got none for {_some(missing)}")
    return [values[number] for number in ids]


def _some(ids: Sequence[int]) -> str:
    more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
    return f"{', '.join(map(str, ids[:3]))}{more}"
