"""Files of finished runs: a line of JSON for each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stn_lightning._files import whole_file
from stn_lightning.reproducing._job import KEY, has

KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("table", "row", "column", "recipe", "experiment", "metric", "commit", "device"), str),
    **dict.fromkeys(("seed", "parameters", "steps", "best_epoch", "threads"), int),
    **dict.fromkeys(("options", "further"), list),
    **dict.fromkeys(("config", "versions", "validation", "test"), dict),
    "seconds": (int, float),
    "dirty": bool,
}
Line = Mapping[str, Any]


def read_lines(file: Path) -> list[Line]:
    """The finished runs of a file; none where there is no file.

    Raises:
        ValueError: naming file and line of what is no finished run.
    """
    texts = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [_line(text, f"{file}:{number}") for number, text in enumerate(texts, 1)]


def add_lines(file: Path, lines: Sequence[Line]) -> None:
    """Adds finished runs, each in the place of one of the same key.

    The file is replaced when all is on the disk, or stays as it is.

    Raises:
        OSError: naming the file, if it cannot be written.
    """
    kept = list(read_lines(file))
    for line in lines:
        key = {name: line[name] for name in KEY}
        places = [i for i, old in enumerate(kept) if has(old, key)] or [len(kept)]
        kept[places[0] : places[0] + 1] = [line]
    try:
        with whole_file(file) as stream:
            stream.write("".join(f"{json.dumps(line)}\n" for line in kept).encode())
    except OSError as e:
        raise OSError(f"{file} could not be written: {e.strerror}; it is as it was, and the runs are in their folders") from e


def _line(text: str, place: str) -> Line:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise ValueError(f"{place}: expected a finished run as JSON: {e}") from e
    wrong = [name for name, kind in KINDS.items() if not isinstance(line, dict) or not isinstance(line.get(name), kind)]
    if wrong:
        raise ValueError(f"{place}: expected a finished run, got one without {', '.join(wrong)} as they should be")
    if not isinstance(line["test"].get(line["metric"]), int | float):
        raise ValueError(f"{place}: expected a number as {line['metric']} of the test, got {line['test']}")
    return dict(line)
