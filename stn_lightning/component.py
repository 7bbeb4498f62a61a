"""What a config says of an object: ``class_path`` and ``init_args``, as plain data."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor, nn

from stn_lightning.plugins import Registry


class Recorded:
    """An object that remembers how it was built, so that checkpoints hold plain data instead of pickled objects."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        self.__dict__["_built_with"] = args, kwargs
        return self


class Component(Recorded, nn.Module):
    """A module that configs and checkpoints can name: a transform, sampler, localisation net or distortion."""

    registry: ClassVar[Registry | None] = None


def init_args(obj: Recorded) -> dict[str, Any]:
    """The constructor arguments of an object, defaults included, as plain data.

    Args:
        obj: a component or task.

    Raises:
        ValueError: for an argument that plain data cannot express.
    """
    args, kwargs = obj.__dict__["_built_with"]
    signature = inspect.signature(type(obj))
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    named: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            named.update(value)
        else:
            named[name] = value
    return {name: plain(value) for name, value in named.items()}


def plain(value: Any) -> Any:
    """``value`` as a config would say it: numbers, strings, lists, dicts, and classes by their path.

    Args:
        value: a component, a class, a factory (``functools.partial`` of a class), a tensor, or containers of these.

    Raises:
        ValueError: if ``value`` has no such form.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Component):
        return {"class_path": class_path(type(value)), "init_args": init_args(value)}
    if isinstance(value, partial):
        cls = class_of(value)
        if cls is not None:
            positional = inspect.signature(cls).bind_partial(*value.args).arguments if cls is value.func else {}
            named = {**positional, **value.keywords}
            return {"class_path": class_path(cls), "init_args": {k: plain(v) for k, v in named.items()}}
    if isinstance(value, type):
        return {"class_path": class_path(value)}
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise ValueError(
        f"expected plain data, a component, a class or functools.partial(class, ...) as an argument that a checkpoint can "
        f"hold; got {type(value).__qualname__} {value!r}"
    )


def class_of(factory: Any) -> type | None:
    """The class that a factory makes: itself, or what a partial is of (jsonargparse's own has it among its arguments)."""
    candidates = (factory, getattr(factory, "func", None), *getattr(factory, "args", ()))
    return next((c for c in candidates if isinstance(c, type)), None)


def class_path(cls: type) -> str:
    """The path by which a config names a class: the registry's name where it is a plugin, else the shortest import path."""
    if issubclass(cls, Component) and cls.registry is not None:
        return cls.registry.path(cls)
    packages = accumulate(cls.__module__.split("."), "{}.{}".format)
    public = (p for p in packages if getattr(sys.modules.get(p), cls.__qualname__, None) is cls)
    return f"{next(public, cls.__module__)}.{cls.__qualname__}"
