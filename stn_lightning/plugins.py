"""Entry-point plugins: one ``Registry`` per kind, each plugin imported when it is first named."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from keyword import iskeyword
from typing import Any, Never


class PluginError(ImportError):
    """An installed package names a plugin that cannot be used."""


class _ListedName(str):
    """A name that is only listed: to look it up in its module does not import the plugin."""


class _Listed:
    """A plugin's name, in the shape in which jsonargparse reads classes."""

    def __init__(self, module: str, name: str) -> None:
        self.__module__ = module
        self.__qualname__ = self.__name__ = _ListedName(name)

    def __subclasscheck__(self, cls: type) -> bool:  # ABCMeta walks __subclasses__()
        return False


class Registry(Mapping[str, type]):
    """The plugins of one kind, by entry-point name.

    A registry only reads the metadata of the installed packages; a plugin is imported by ``registry[name]``. One that fails
    to import, or is none, raises ``PluginError`` when it is named and leaves its neighbours alone.

    Args:
        group: entry-point group; also the module in which the names resolve, so that a plugin ``tps`` has the class path
            ``GROUP.tps``.
        base: the class from which every plugin derives.
    """

    def __init__(self, group: str, base: type) -> None:
        self.group = group
        self.base = base
        self._loaded: dict[str, type | PluginError] = {}
        # jsonargparse looks a short name (``--model.transform=tps``) up among the subclasses of the annotated type
        base.__subclasses__ = classmethod(self._subclasses)  # type: ignore[assignment]

    @cached_property
    def points(self) -> dict[str, list[EntryPoint]]:
        """The entry points of each name: more than one where packages disagree."""
        found: dict[str, dict[str, EntryPoint]] = {}
        for point in entry_points(group=self.group):
            found.setdefault(point.name, {}).setdefault(point.value, point)
        return {name: [by_value[v] for v in sorted(by_value)] for name, by_value in sorted(found.items())}

    @property
    def kind(self) -> str:
        """What the plugins are, in the singular: ``transform``."""
        return self.group.rpartition(".")[2].removesuffix("s")

    def __iter__(self) -> Iterator[str]:
        return iter(self.points)

    def __len__(self) -> int:
        return len(self.points)

    def __contains__(self, name: object) -> bool:
        return name in self.points

    def __getitem__(self, name: str) -> type:
        if name not in self.points:
            raise KeyError(self.missing(name))
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        found = self._loaded[name]
        if isinstance(found, PluginError):
            raise found
        return found

    def missing(self, name: str) -> str:
        """What to say of a name that no installed package has."""
        close = "".join(f" (did you mean {match!r}?)" for match in get_close_matches(name, self, n=1))
        return f"no {self.kind} {name!r} is installed{close}; installed {self.kind}s: {', '.join(self) or 'none'}"

    def reserved(self, name: str) -> bool:
        """Whether a plugin cannot have this name: not a public identifier, or bound in the module of the group."""
        usable = name.isidentifier() and not iskeyword(name) and not name.startswith("_")
        return not usable or name in vars(sys.modules.get(self.group, object))

    def _load(self, name: str) -> type | PluginError:
        point, *others = self.points[name]
        who = f"{self.kind} {name!r} of {_package(point)} ({point.value})"
        if others:
            rivals = " and ".join(f"{_package(p)} ({p.value})" for p in others)
            return PluginError(f"{who} has the name of another, of {rivals}; uninstall one or give its class path")
        if self.reserved(name):
            return PluginError(f"{who} has a reserved name: expected a public identifier not used in {self.group}")
        try:
            cls = point.load()
        except BaseException as e:  # a plugin may do anything at import, SystemExit included
            if isinstance(e, KeyboardInterrupt):
                raise
            error = PluginError(f"{who} does not import: {type(e).__name__}: {e}")
            error.__cause__ = e
            return error
        if not isinstance(cls, type) or self.base not in cls.__mro__:
            return PluginError(f"{who} is not a subclass of {self.base.__module__}.{self.base.__qualname__}")
        return cls

    def path(self, cls: type) -> str:
        """The class path by which a config names ``cls``: ``GROUP.name`` where it is a plugin."""
        for name, points in self.points.items():
            if [p.value for p in points] == [f"{cls.__module__}:{cls.__qualname__}"] or self._loaded.get(name) is cls:
                return f"{self.group}.{name}"
        return f"{cls.__module__}.{cls.__qualname__}"

    def _subclasses(self, cls: type) -> list[Any]:
        if cls is not self.base:
            return type.__subclasses__(cls)
        return [_Listed(self.group, name) for name in self if not self.reserved(name)]

    def resolve(self, name: str) -> Any:
        """The ``__getattr__`` of the module that the group names."""
        if isinstance(name, _ListedName) or name.startswith("__"):
            raise AttributeError(name)
        if name not in self.points:
            self._no_attribute(f"module {self.group!r} has no attribute {name!r}: {self.missing(name)}")
        try:
            return self[name]
        except PluginError as e:
            self._no_attribute(str(e), e)

    @staticmethod
    def _no_attribute(message: str, cause: BaseException | None = None) -> Never:
        raise AttributeError(message) from cause


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"
