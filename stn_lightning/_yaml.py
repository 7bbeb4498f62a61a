"""YAML and JSON of strangers: bounded in size, depth and nodes before anything is built of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import get_loader, set_loader

CHARACTERS, DEPTH, NODES = 1_000_000, 32, 1_000
USUAL = get_loader("yaml")


@dataclass
class _Part:
    """A list or mapping that is being read: its children so far, and all nodes below it, those of aliases too."""

    anchor: str | None
    is_mapping: bool
    children: int = 0
    nodes: int = 1
    keys: set[str] = field(default_factory=set)


def check(text: str) -> None:
    """Refuses what would take hours or all memory: an alias counts as the nodes that it repeats.

    Args:
        text: YAML, of which JSON is a part.

    Raises:
        ValueError: for more than 1,000,000 characters, 1,000 nodes or 32 levels, for a list or mapping that holds itself,
            and for a key that stands twice in a mapping.
        yaml.YAMLError: for what is no YAML.
    """
    if len(text) > CHARACTERS:
        raise ValueError(f"expected at most {CHARACTERS} characters, got {len(text)}")
    known: dict[str, int] = {}
    parts = [_Part(None, is_mapping=False)]
    for event in _events(text):
        line = event.start_mark.line + 1 if event.start_mark else 0
        anchor, nodes = getattr(event, "anchor", None), 1
        if isinstance(event, yaml.CollectionStartEvent):
            parts.append(_Part(anchor, isinstance(event, yaml.MappingStartEvent)))
            if len(parts) > DEPTH + 1:
                raise _too_deep(line)
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            done = parts.pop()
            anchor, nodes = done.anchor, done.nodes
        elif isinstance(event, yaml.AliasEvent):
            if any(part.anchor == anchor for part in parts):
                raise ValueError(f"line {line}: *{anchor} holds itself")
            nodes = known.get(str(anchor), 1)
        elif isinstance(event, yaml.ScalarEvent):
            _check_scalar(event.value, parts[-1], line)
        else:
            continue
        if anchor is not None:
            known[anchor] = nodes
        parts[-1].children += 1
        parts[-1].nodes += nodes
        if parts[-1].nodes > NODES:
            raise ValueError(f"line {line}: expected at most {NODES} values, with those that aliases repeat")


def _events(text: str) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as e:  # the scanner, which is ahead of the parser, has a bound of its own since PyYAML 6.0.4
        if e.problem != "exceeded maximum nesting depth" or e.problem_mark is None:
            raise
        raise _too_deep(e.problem_mark.line + 1) from e


def _too_deep(line: int) -> ValueError:
    return ValueError(f"line {line}: expected at most {DEPTH} levels of lists and mappings in each other")


def _check_scalar(value: str, part: _Part, line: int) -> None:
    if part.is_mapping and part.children % 2 == 0:
        if value in part.keys:
            raise ValueError(f"line {line}: the key {value!r:.100} stands twice")
        part.keys.add(value)
    if "&" in value and "*" in value:  # jsonargparse reads strings in lists and mappings once more
        with suppress(yaml.YAMLError):
            check(value)


def load(text: str) -> Any:
    """What jsonargparse makes of YAML, within the bounds of ``check``."""
    check(text)
    return USUAL(text)


def bound_parsers() -> None:
    """Makes all parsers of this process read YAML by ``load``."""
    set_loader("yaml", load, (yaml.YAMLError,))


def check_file(file: str | Path) -> None:
    """Refuses a config file by ``check``; what is no YAML is left to whoever reads it.

    Raises:
        ValueError: naming the file.
        OSError: if it cannot be read.
    """
    text = _read(Path(file))
    try:
        check(text)
    except yaml.YAMLError:
        return
    except ValueError as e:
        raise ValueError(f"{file}: {e}") from e


def read_yaml(file: Path) -> Any:
    """The plain data of a YAML file.

    Raises:
        ValueError: naming the file, for what ``check`` refuses, and for what is no YAML of plain data.
    """
    text = _read(file)
    try:
        check(text)
        return yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as e:
        raise ValueError(f"{file}: {e}") from e


def read_json(file: Path) -> Any:
    """The plain data of a JSON file.

    Raises:
        ValueError: naming the file, for one of more than 1,000,000 characters, too many levels, or what is no JSON.
    """
    try:
        return json.loads(_read(file))
    except (ValueError, RecursionError) as e:
        raise ValueError(f"{file}: {e}") from e


def _read(file: Path) -> str:
    with file.open(encoding="utf-8") as stream:
        try:
            text = stream.read(CHARACTERS + 1)
        except UnicodeDecodeError as e:
            raise ValueError(f"{file}: {e}") from e
    if len(text) > CHARACTERS:
        raise ValueError(f"{file}: expected at most {CHARACTERS} characters")
    return text
