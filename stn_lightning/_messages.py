"""What the command line says: one line for each cause, and the parts that are installed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from types import ModuleType

from stn_lightning._import_policy import ImportPolicy
from stn_lightning.plugins import PluginError, Registry

BOILERPLATE = re.compile(
    r"Does not validate against|Subtypes:|Errors:|Given value|Parser key|Problem with given class_path|Expected a path but|"
    r"Expected a <class 'NoneType'>|$"
)
GIVEN = re.compile(r"Given value: (.+)")
REFUSED = re.compile(r"Importing '([^']+)' is not allowed")
NO_SUCH_NAME = re.compile(r"Expected a dot import path string: (\S+)")


def installed(registries: Sequence[Registry]) -> str:
    """The names of the installed plugins, a line a kind, from the metadata of their packages."""
    return "\n".join(f"installed {registry.kind}s: {registry.names()}" for registry in registries)


def cause(
    message: str,
    registries: Sequence[Registry],
    policy: ImportPolicy | None = None,
    rooms: Mapping[str, tuple[ModuleType, type]] | None = None,
) -> str:
    """The cause in a parser's message, in one line: the option, and what is wrong with its value.

    Args:
        message: jsonargparse's text, which lists what each accepted type has against the value.
        registries: those whose names the option may hold.
        policy: the one that a refused import is of.
        rooms: of an option's last name, the package whose classes it may hold, and what they are subclasses of.
    """
    keys = re.findall(r'Parser key "([^"]+)"', message)
    option = keys[-1].rpartition(".")[2] if keys else ""
    lines = [line.strip().removeprefix("- ") for line in message.splitlines()]
    reasons = [line for line in lines if not BOILERPLATE.match(line)]
    for registry in registries:
        for name in NO_SUCH_NAME.findall(message):
            if option == registry.kind:
                reasons = [_why_not(registry, name)]
    if rooms is not None and option in rooms and (unknown := NO_SUCH_NAME.findall(message)):
        reasons = [f"no class {unknown[-1]!r}; possible: {_classes(*rooms[option])}, or a class path"]
    given = GIVEN.search(message)
    refused = REFUSED.search(message)
    if refused and policy is not None:
        reasons = [policy.refusal(refused[1]) + (f"; got {given[1]}" if given and refused[1] not in given[1] else "")]
    if given and reasons and all(reason.startswith("Expected") for reason in reasons):
        reasons[-1] += f"; got {given[1]}"
    where = f"--{'.'.join(keys)}: " if keys else ""
    return where + ("; ".join(dict.fromkeys(reasons)) or " ".join(message.split()))


def _classes(room: ModuleType, base: type) -> str:
    found = [getattr(room, name) for name in room.__all__]
    return ", ".join(
        sorted(c.__name__ for c in found if inspect.isclass(c) and issubclass(c, base) and not inspect.isabstract(c))
    )


def _why_not(registry: Registry, name: str) -> str:
    try:
        registry[name]
    except PluginError as e:
        return str(e)
    except KeyError:
        return registry.missing(name)
    return f"{registry.group}.{name} is the class path of this plugin"
