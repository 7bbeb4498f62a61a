"""Entry-point plugins: one ``Registry`` per kind, each plugin imported when it is first named."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from importlib.metadata import Distribution, EntryPoint, distributions
from keyword import iskeyword
from typing import Any, NamedTuple, Never

LONGEST, MOST = 300, 50
UNKNOWN = "an unknown package"


class PluginError(ImportError):
    """An installed package names a plugin that cannot be used."""


class Refused(NamedTuple):
    """What an installed package says of plugins, and no registry takes.

    Attributes:
        name: of the plugin; ``-`` where the package's list cannot be read.
        package: the distribution.
        version: of the distribution.
        why: in words.
    """

    name: str
    package: str
    version: str
    why: str


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
        self.refused: list[Refused] = []
        self._loaded: dict[str, type | PluginError] = {}
        # jsonargparse looks a short name (``--model.transform=tps``) up among the subclasses of the annotated type
        base.__subclasses__ = classmethod(self._subclasses)  # type: ignore[assignment]

    @cached_property
    def points(self) -> dict[str, list[EntryPoint]]:
        """The entry points of each name: more than one where packages disagree."""
        found: dict[str, dict[str, EntryPoint]] = {}
        ours: dict[str, EntryPoint] = {}
        seen: set[str] = set()
        for dist in distributions():
            points = self._points_of(dist)
            package = name_and_version(dist)[0] if points else ""
            if points and package in seen and package != UNKNOWN:
                continue  # what is imported is the first on the path
            seen.add(package)
            for point in points:
                found.setdefault(point.name, {}).setdefault(point.value, point)
                if package.replace("-", "_") == self.base.__module__.partition(".")[0]:
                    ours[point.name] = point
        for name, point in ours.items():  # no package takes the name of a built-in
            for rival in (found[name].pop(value) for value in list(found[name]) if value != point.value):
                why = f"the name is that of a built-in, {shown(point.value)}; give the class path of {shown(rival.value)}"
                self.refused.append(Refused(name, *name_and_version(rival.dist), why))
        return {name: [by_value[v] for v in sorted(by_value)] for name, by_value in sorted(found.items())}

    def _points_of(self, dist: Distribution) -> list[EntryPoint]:
        try:
            return list(dist.entry_points.select(group=self.group))
        except Exception as e:  # whatever stands in entry_points.txt
            self.refused.append(Refused("-", *name_and_version(dist), f"its entry_points.txt cannot be read: {reason(e)}"))
            return []

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
        return f"no {self.kind} {name!r:.{LONGEST}} is installed{close}; installed {self.kind}s: {self.names()}"

    def names(self) -> str:
        """The names in one line, of which a terminal obeys nothing."""
        more = f", and {len(self) - MOST} more" if len(self) > MOST else ""
        return ", ".join(shown(name) for name in list(self)[:MOST]) + more or "none"

    def reserved(self, name: str) -> bool:
        """Whether a plugin cannot have this name: no short public identifier of ASCII, or bound in the module of the group."""
        usable = name.isascii() and name.isidentifier() and not iskeyword(name) and not name.startswith("_")
        return not usable or len(name) > LONGEST or name in vars(sys.modules.get(self.group, object))

    def _load(self, name: str) -> type | PluginError:
        point, *others = self.points[name]
        who = f"{self.kind} '{shown(name)}' of {_package(point)} ({shown(point.value)})"
        if others:
            rivals = " and ".join(f"{_package(p)} ({shown(p.value)})" for p in others)
            return PluginError(f"{who} has the name of another, of {rivals}; uninstall one or give its class path")
        if self.reserved(name):
            return PluginError(
                f"{who} has a reserved name: expected a public identifier of ASCII, of at most {LONGEST} characters, not "
                f"used in {self.group}"
            )
        try:
            cls = point.load()
        except BaseException as e:  # a plugin may do anything at import, SystemExit included
            if isinstance(e, KeyboardInterrupt):
                raise
            error = PluginError(f"{who} does not import: {reason(e)}")
            error.__cause__ = e
            return error
        # no method of the class is asked: isinstance and issubclass believe __class__, __bases__ and metaclasses
        if not (type.__subclasscheck__(type, type(cls)) and type.__subclasscheck__(self.base, cls)):
            return PluginError(f"{who} is not a subclass of {self.base.__module__}.{self.base.__qualname__}")
        found: type = cls
        return found

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


def shown(text: object) -> str:
    """A text of an installed package in ASCII, without what a terminal would obey, cut where it is long."""
    escaped = ascii(str(text))[1:-1]
    return escaped if len(escaped) <= LONGEST else f"{escaped[:LONGEST]}..."


def reason(error: BaseException) -> str:
    """An error of a plugin, which may have a say in what it says."""
    try:
        return shown(f"{type(error).__name__}: {error}")
    except BaseException:
        return "an error that cannot be said"


def name_and_version(dist: Distribution | None) -> tuple[str, str]:
    """Those of an installed package, as far as its metadata can be read."""
    try:
        found = (dist.metadata["Name"], dist.metadata["Version"]) if dist else (None, None)
    except Exception:
        found = (None, None)
    return shown(found[0] or UNKNOWN), shown(found[1] or "")


def _package(point: EntryPoint) -> str:
    return " ".join(filter(None, name_and_version(point.dist)))
