"""Which modules a config or a checkpoint may name: a closed list, opened package by package."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pkgutil import resolve_name
from typing import Any, ClassVar

from jsonargparse import Namespace, set_parsing_settings

from stn_lightning import _yaml, localisations, samplers, transforms

OPTION = "--allow-import"
VARIABLE = "STN_ALLOW_IMPORT"
# what a trainer's options name; elsewhere Lightning has callables that import or load whatever they are told to
LIGHTNING = ("accelerators", "callbacks", "loggers", "plugins", "profilers", "strategies")
USUAL = (
    "stn_lightning",
    "torch.nn",
    "torch.optim",
    *(f"lightning.pytorch.{room}" for room in LIGHTNING),
    "lightning.pytorch.cli.ReduceLROnPlateau",
    "lightning.fabric.plugins",
)
NO_PLUGINS = {*sys.stdlib_module_names, "jsonargparse", "lightning", "stn_lightning", "torch"}
USUAL_IN_WORDS = f"stn_lightning, torch.nn, torch.optim, lightning ({', '.join(LIGHTNING)})"


class ImportPolicy:
    """The modules that a config or a checkpoint may name: the usual ones, installed plugins, and what the user opens.

    Args:
        opened: packages or modules that the user opens, beside those of the environment variable ``STN_ALLOW_IMPORT``
            (separated by commas).

    Attributes:
        foreign: the packages of installed plugins, and what the user opened.

    Raises:
        ValueError: for a name that no package can have.
    """

    _told: ClassVar[set[str]] = set()

    def __init__(self, opened: Iterable[str] = ()) -> None:
        asked = [name.strip() for name in (*opened, *os.environ.get(VARIABLE, "").split(","))]
        for name in filter(None, asked):
            if not all(part.isidentifier() for part in name.split(".")):
                raise ValueError(f"expected a package such as mylab or mylab.nets for {OPTION} or {VARIABLE}, got {name!r}")
        self.foreign = tuple(dict.fromkeys([*_packages_of_plugins(), *filter(None, asked)]))

    def allows(self, path: str) -> bool:
        """Whether a path lies in an open module."""
        return _within(path, (*USUAL, *self.foreign))

    def refusal(self, path: str) -> str:
        """What to say of a path that is not allowed."""
        top = path.partition(".")[0]
        return (
            f"importing {path} is not allowed: a config or a checkpoint may name classes of "
            f"{', '.join([USUAL_IN_WORDS, *self.foreign])}; if you trust {top}, give {OPTION} {top} or set {VARIABLE}={top}"
        )

    def enforce(self) -> None:
        """Closes the parsers of this process to all other modules, and bounds the YAML that they read.

        A later policy replaces this one.

        Raises:
            ValueError: for a package that jsonargparse never allows: itself.
        """
        _yaml.bound_parsers()
        told = ImportPolicy._told | {*USUAL, *self.foreign}
        shut = {name for name in told if not self.allows(name)}
        set_parsing_settings(
            import_path_denylist=["*", *sorted(shut)],
            import_path_allowlist=sorted(told - shut),
            instantiate_subclass_spec_in_any=False,  # no type, no check of what is built
            config_read_mode_fsspec_enabled=False,  # a string that is an address would be fetched
        )
        ImportPolicy._told = told

    def check(self, config: Any) -> None:
        """Refuses a config whose ``class_path`` names a function of the usual modules, which ``init_args`` would call.

        Some call what their arguments name, such as ``lightning.pytorch.cli.instantiate_class``.

        Args:
            config: the options of a command, parsed.

        Raises:
            ValueError: naming the option and the path.
        """
        for key, path in _class_paths(config):
            option = f"--{key.replace('.init_args', '')}"
            if not self.allows(path):
                raise ValueError(f"{option}: {self.refusal(path)}")
            found = _find(path)
            if not isinstance(found, type) and not _within(getattr(found, "__module__", None) or "", self.foreign):
                raise ValueError(
                    f"{option}: expected class_path to name a class, got {path}: only a plugin's package, or one opened by "
                    f"{OPTION}, may have a function there"
                )

    def load_class(self, path: str) -> type:
        """The class that a checkpoint names; imports nothing but open modules.

        Args:
            path: of a class in an open module, or in one that this process has imported already.

        Raises:
            ValueError: for any other path.
        """
        if self.allows(path):
            found = _find(path)
        else:
            module, _, name = path.rpartition(".")
            if module not in sys.modules:
                raise ValueError(f"{self.refusal(path)}; or import {module} before the checkpoint is loaded")
            found = vars(sys.modules[module]).get(name)
        if isinstance(found, type):
            return found
        raise ValueError(f"expected the path of a class in a checkpoint, got {path}{f': {found}' if found else ''}")


def _packages_of_plugins() -> list[str]:
    """The top-level packages that entry points name, less what is no plugin whoever names it."""
    registries = (transforms.registry, localisations.registry, samplers.registry)
    points = [point for registry in registries for same_name in registry.points.values() for point in same_name]
    packages = {point.value.partition(":")[0].partition(".")[0].strip() for point in points}
    return sorted(package for package in packages - NO_PLUGINS if package.isidentifier())


def _within(path: str, packages: Iterable[str]) -> bool:
    return any(path == package or path.startswith(f"{package}.") for package in packages)


def _find(path: str) -> Any:
    """What a path names, or the error that it gives."""
    try:
        return resolve_name(path)
    except (AttributeError, ImportError, ValueError) as e:
        return e


def _class_paths(config: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """(option, path) of each ``class_path`` in a parsed config."""
    if isinstance(config, Namespace):
        config = vars(config)
    if isinstance(config, Mapping):
        if isinstance(config.get("class_path"), str):
            yield key, config["class_path"]
        for name, value in config.items():
            yield from _class_paths(value, f"{key}.{name}" if key else str(name))
    elif isinstance(config, list | tuple):
        for value in config:
            yield from _class_paths(value, key)
