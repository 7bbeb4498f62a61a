"""Whether a checkpoint is of the model and the data that a command asks for."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stn_lightning.component import plain

OF_A_RUN = ("state_dict", "loops", "optimizer_states", "lr_schedulers")
OF_THE_DATA = ("input_shape", "num_classes", "max_length")


def check_complete(checkpoint: Mapping[str, Any], subcommand: str, file: Path) -> None:
    """Refuses a file that lacks what a command needs of it: without loops, Lightning would start anew.

    Args:
        checkpoint: its content.
        subcommand: ``fit``, which goes on with a run, or another, which takes the weights alone.
        file: where it is, for the message.

    Raises:
        ValueError: naming what it lacks.
    """
    needed = OF_A_RUN if subcommand == "fit" else OF_A_RUN[:1]
    if missing := [name for name in needed if name not in checkpoint]:
        raise ValueError(f"{file} holds too little for {subcommand}: it lacks {', '.join(missing)}")


def check_same_data(data: Any, kept: Mapping[str, Any], file: Path) -> None:
    """Refuses data whose images, classes or lengths are not those of the checkpoint.

    Args:
        data: the data module.
        kept: the model's config from the checkpoint.
        file: the checkpoint, for the message.

    Raises:
        ValueError: naming both.
    """
    expected = {name: kept.get("init_args", {}).get(name) for name in OF_THE_DATA}
    found = {name: getattr(data, name, None) for name in OF_THE_DATA}
    differing = [name for name, value in expected.items() if value is not None and plain(found[name]) != value]
    if differing:
        texts = [", ".join(f"{name} {plain(values[name])}" for name in differing) for values in (expected, found)]
        raise ValueError(f"{file} is of data with {texts[0]}; this data has {texts[1]}")


def check_same_model(asked: Mapping[str, Any], default: Mapping[str, Any], kept: Mapping[str, Any], file: Path) -> None:
    """Refuses a command line that contradicts its checkpoint, whose hyper-parameters would silently win.

    Args:
        asked: the model's config from the command line.
        default: the same where nothing is given.
        kept: the model's config from the checkpoint.
        file: the checkpoint, for the message.

    Raises:
        ValueError: naming the contradictions.
    """
    asked_items, default_items, kept_items = (dict(_leaves(config)) for config in (asked, default, kept))
    clashes = [
        f"{key.replace('.init_args', '').removesuffix('.class_path')}={_short(_kept(kept, key))} (asked: {_short(value)})"
        for key, value in asked_items.items()
        if value != default_items.get(key)
        and (key in kept_items or key.endswith(".class_path"))  # else it has its default in the checkpoint
        and not _same(value, kept_items.get(key))
    ]
    if clashes:
        raise ValueError(
            f"{file} is of another model: {', '.join(clashes)}. A checkpoint keeps the hyper-parameters it was trained with: "
            f"leave out what contradicts it, on the command line and in configs, or repeat the options of its training"
        )


def _leaves(config: Any, prefix: str = "model") -> Iterator[tuple[str, Any]]:
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield from _leaves(value, f"{prefix}.{key}")
    else:
        yield prefix, list(config) if isinstance(config, tuple) else config


def _same(a: Any, b: Any) -> bool:
    """Equal, or two paths of one class, which the parser has imported for the command line."""
    return bool(a == b) or (isinstance(a, str) and isinstance(b, str) and "." in a and _named(a) is _named(b) is not None)


def _named(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(sys.modules.get(module), name, None)


def _kept(kept: Mapping[str, Any], key: str) -> Any:
    """What a checkpoint has where the command line asks for something else; of several parts, what they are for."""
    found: Any = kept
    for name in key.split(".")[1:]:
        if isinstance(found, Mapping) and name == "class_path" and name not in found:
            return f"parts for {', '.join(found)}"
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _short(value: Any) -> Any:
    return value.rpartition(".")[2] if isinstance(value, str) else value
