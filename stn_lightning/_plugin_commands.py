"""``stn plugins`` and ``stn check-plugin``: what is installed, and whether it keeps the contract."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from stn_lightning import localisations, samplers, transforms
from stn_lightning.plugins import PluginError, Registry, name_and_version, reason, shown

REGISTRIES = {registry.kind: registry for registry in (transforms.registry, localisations.registry, samplers.registry)}
MARKS = {"passed": "ok", "failed": "FAILED", "skipped": "-"}


class Listed(NamedTuple):
    """A plugin that is installed.

    Attributes:
        kind: ``transform``, ``sampler`` or ``localisation``.
        name: by which a config names it.
        package: the distribution that has it.
        version: of the distribution.
        summary: first line of its docstring; empty where it is broken.
        broken: why it cannot be used; None where it can.
    """

    kind: str
    name: str
    package: str
    version: str
    summary: str
    broken: str | None


def listed() -> Iterator[Listed]:
    """Every installed plugin; each is imported, to see whether it can be."""
    for kind, registry in REGISTRIES.items():
        for name, points in registry.points.items():
            row = (kind, shown(name), *name_and_version(points[0].dist))
            try:
                yield Listed(*row, shown((inspect.getdoc(registry[name]) or "").partition("\n")[0]), None)
            except PluginError as e:
                yield Listed(*row, "", str(e))
            except Exception as e:  # its class, or its metaclass, makes a docstring of its own
                yield Listed(*row, "", f"its docstring cannot be read: {reason(e)}")
        for name, package, version, why in registry.refused:
            yield Listed(kind, shown(name), package, version, "", why)


def plugins(args: Sequence[str]) -> int:
    """``stn plugins [--json]``.

    Args:
        args: what follows the command.

    Returns:
        The exit code: 0.
    """
    parser = argparse.ArgumentParser(
        "stn plugins", description="Lists the installed plugins; BROKEN where one cannot be used."
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of a table")
    found = list(listed())
    if parser.parse_args(args).json:
        _say(json.dumps([row._asdict() for row in found], indent=2))
        return 0
    rows = [("KIND", "NAME", "PACKAGE", "VERSION", "")]
    rows += [(*row[:4], f"BROKEN: {row.broken}" if row.broken else row.summary) for row in found]
    _print_table(rows)
    return 0


def check_plugin(args: Sequence[str]) -> int:
    """``stn check-plugin NAME``.

    Args:
        args: what follows the command.

    Returns:
        The exit code: 0 if every check passed, 1 if one failed or the plugin is broken.
    """
    parser = argparse.ArgumentParser(
        "stn check-plugin", description="Runs the conformance kit on an installed plugin; exit code 1 if a check fails."
    )
    parser.add_argument("name", help="the plugin; `stn plugins` lists them")
    parser.add_argument("--kind", choices=list(REGISTRIES), help="needed where plugins of two kinds have the name")
    parser.add_argument(
        "--variant",
        action="append",
        type=_variant,
        metavar="JSON",
        help='constructor arguments, such as \'{"padding_mode": "border"}\'; repeat it to check several; default: none',
    )
    parser.add_argument(
        "--input-shape",
        type=int,
        nargs="+",
        metavar="N",
        help="C H W of the feature maps for a localisation net; default: 3 64 64",
    )
    parser.add_argument("--inductor", action="store_true", help="compile with inductor too (half a minute)")
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of a table")
    given = parser.parse_args(args)
    registry = _registry(parser, given.name, given.kind)
    try:
        cls = registry[given.name]
    except PluginError as e:
        sys.stderr.write(f"stn check-plugin: BROKEN: {e}\n")
        return 1
    variants = given.variant or [{}]
    _check_variants(parser, cls, registry.kind, variants)
    attributes: dict[str, Any] = {"inductor": given.inductor}
    if given.input_shape:
        attributes["input_shape"] = tuple(given.input_shape)
    try:
        from stn_lightning.testing import LocalisationChecks, SamplerChecks, TransformChecks
        from stn_lightning.testing._run import run_checks
    except ImportError as e:
        parser.error(str(e))
    kinds = {"transform": TransformChecks, "sampler": SamplerChecks, "localisation": LocalisationChecks}
    if not given.json:
        _say(f"checking {registry.kind} {given.name}, {cls.__module__}.{cls.__qualname__}; half a minute\n")
    outcomes = run_checks(kinds[registry.kind], given.name, variants, **attributes)
    failed = sum(outcome.status == "failed" for outcome in outcomes)
    if given.json:
        _say(json.dumps([vars(outcome) for outcome in outcomes], indent=2))
    else:
        for outcome in outcomes:
            _say(f"{MARKS[outcome.status]:>6}  {outcome.check}{_reasons(outcome.messages)}")
        _say(f"\n{registry.kind} {given.name}: {failed or 'none'} of {len(outcomes)} checks failed")
    return int(failed > 0)


def _registry(parser: argparse.ArgumentParser, name: str, kind: str | None) -> Registry:
    having = [registry for registry in REGISTRIES.values() if name in registry and kind in (None, registry.kind)]
    if not having:
        registries = [REGISTRIES[kind]] if kind else REGISTRIES.values()
        parser.error("; ".join(registry.missing(name) for registry in registries))
    if len(having) > 1:
        parser.error(f"{name} is the name of several plugins: expected --kind one of {', '.join(r.kind for r in having)}")
    return having[0]


def _variant(text: str) -> dict[str, Any]:
    try:
        variant = json.loads(text)
    except json.JSONDecodeError as e:
        raise argparse.ArgumentTypeError(f"expected constructor arguments as JSON, got {text!r}: {e}") from e
    if not isinstance(variant, dict):
        raise argparse.ArgumentTypeError(f"expected constructor arguments as a JSON object, got {text!r}")
    return variant


def _check_variants(parser: argparse.ArgumentParser, cls: type, kind: str, variants: Sequence[dict[str, Any]]) -> None:
    given_by_tasks = ("input_shape", "initial") if kind == "localisation" else ()
    for variant in variants:
        try:
            inspect.signature(cls).bind(*given_by_tasks, **variant)
        except TypeError as e:
            parser.error(f"{cls.__name__} does not take --variant '{json.dumps(variant)}': {e}")


def _reasons(messages: Sequence[str]) -> str:
    return "".join(f"\n        {message}" for message in messages)


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        *cells, last = row
        _say("  ".join([*(cell.ljust(width) for cell, width in zip(cells, widths[:-1], strict=True)), last]).rstrip())


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
