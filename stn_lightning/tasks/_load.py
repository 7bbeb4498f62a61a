"""Tasks from checkpoints: plain data becomes objects, and nothing that the file names is called or imported unseen."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from lightning.pytorch import LightningModule
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from stn_lightning._import_policy import ImportPolicy
from stn_lightning.backbones import initial_weights_left_out
from stn_lightning.component import Component

T = TypeVar("T", bound=LightningModule)
PARTS = (nn.Module, Optimizer, LRScheduler)

if TYPE_CHECKING:
    method_of_class = classmethod
else:

    class method_of_class(classmethod):
        """A classmethod that no instance has: ``task.load_from_checkpoint(file)`` would leave the task as it is."""

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is not None:
                raise AttributeError(self.__name__)
            return super().__get__(instance, owner)


def load_task(
    cls: type[T],
    checkpoint: dict[str, Any],
    strict: bool | None,
    given: Mapping[str, Any],
    opened: Sequence[str] = (),
) -> T:
    """The task of a checkpoint, with its weights.

    Args:
        cls: the class that is asked for; the checkpoint may name a subclass.
        checkpoint: as ``read_checkpoint`` gives it, with the weights where the task is to be.
        strict: whether the weights must be those of the task; None for what the task says.
        given: arguments of the task that replace those of the checkpoint.
        opened: packages whose classes it may name beside the usual ones.

    Raises:
        ValueError: for a class that is of another kind, or not open to import.
    """
    if "state_dict" not in checkpoint:
        raise ValueError(f"expected a checkpoint of {cls.__name__}, got weights alone")
    kept = dict(checkpoint.get("hyper_parameters", {}))
    kept.pop("_instantiator", None)
    policy = ImportPolicy(opened)
    path = kept.pop("_class_path", None)
    found = cls if path is None else policy.load_class(str(path))
    if not issubclass(found, cls):
        raise ValueError(f"expected a checkpoint of {cls.__name__}, got one of {path}")
    hints = _hints(found)
    with initial_weights_left_out():
        arguments = {name: build(value, policy, hints.get(name)) for name, value in kept.items() if name not in given}
        task = found(**arguments, **given)
    task.configure_model()
    task.on_load_checkpoint(checkpoint)
    weights = checkpoint["state_dict"]
    task.load_state_dict(weights, strict=task.strict_loading if strict is None else strict)
    return task.to(next((value.device for value in weights.values()), task.device))


def build(data: Any, policy: ImportPolicy, hint: Any = None) -> Any:
    """The inverse of ``plain``: what the plain data of an argument says.

    A component of which every required argument is there is built; any other class becomes a factory of its arguments.

    Args:
        data: numbers, strings, lists, dicts, and classes by their path, where a dict says so. A string is a string.
        policy: which classes may be named.
        hint: the declared type, by which a list becomes a tuple, and a string a path.

    Raises:
        ValueError: for a class that is no part of a task, or not open to import.
    """
    if isinstance(data, Mapping):
        if isinstance(data.get("class_path"), str) and set(data) <= {"class_path", "init_args"}:
            return _part(policy, **data)
        return {key: build(value, policy) for key, value in data.items()}
    declared = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if isinstance(data, list):
        for option in declared:
            kind = get_origin(option) or option
            if isinstance(kind, type) and issubclass(kind, Sequence) and kind is not str:
                item = next(iter(get_args(option)), None)
                items = [build(value, policy, item) for value in data]
                return tuple(items) if kind is tuple else items
        return [build(value, policy) for value in data]
    if isinstance(data, str) and Path in declared and str not in declared:
        return Path(data)
    return data


def _part(policy: ImportPolicy, class_path: str, init_args: Mapping[str, Any] | None = None) -> Any:
    cls = policy.load_class(class_path)
    if not issubclass(cls, PARTS):
        raise ValueError(f"expected a torch.nn.Module, an optimizer or a scheduler in a checkpoint, got {class_path}")
    if init_args is None:
        return cls
    hints = _hints(cls)
    arguments = {name: build(value, policy, hints.get(name)) for name, value in init_args.items()}
    required = {
        name
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.default is parameter.empty and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    complete = issubclass(cls, Component) and required <= set(arguments)
    return cls(**arguments) if complete else partial(cls, **arguments)


def _hints(cls: type) -> dict[str, Any]:
    """The declared types of a class's arguments, and of those that it hands to its bases."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if "__init__" in vars(base):
            try:
                found |= get_type_hints(vars(base)["__init__"])
            except (NameError, TypeError):  # a name that is imported for type checkers only
                continue
    return found
