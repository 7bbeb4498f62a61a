"""What a constructor says of its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, get_type_hints

from docstring_parser import parse


def undescribed(cls: type) -> Iterator[str]:
    """What is missing for a config and its ``--help``: a sentence for each flaw.

    Args:
        cls: a component.
    """
    if not inspect.getdoc(cls) or cls.__doc__ is None:
        yield f"{cls.__name__} has no docstring: its first line is what `stn plugins` prints"
    owner = next(c for c in cls.__mro__ if "__init__" in vars(c))
    try:
        hints = get_type_hints(vars(owner)["__init__"])
    except NameError as e:
        yield f"the annotations of {cls.__name__} do not resolve: {e}"
        return
    texts = (cls.__doc__, owner.__doc__, vars(owner)["__init__"].__doc__)
    documented = {p.arg_name for text in texts for p in parse(text or "").params}
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            yield f"argument *{name} of {cls.__name__} cannot be named in a config"
            continue
        if hints.get(name, Any) is Any:
            yield f"argument {name!r} of {cls.__name__} has no type: without one a config or --help cannot check it"
        if name not in documented:
            yield f"argument {name!r} of {cls.__name__} is not in the Args of its docstring"
    own = {p.arg_name for p in parse(cls.__doc__ or "").params if p.args[0] == "param"}
    for name in sorted(own - set(inspect.signature(cls).parameters)):
        yield f"the docstring of {cls.__name__} describes {name!r}, which is no argument"
