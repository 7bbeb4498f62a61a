"""Installed packages whose plugins are broken, lie, collide, or carry hostile names or metadata."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import NamedTuple

from _faults.commands import run
from _faults.fault import Fault

GROUP = "stn_lightning.transforms"
BATCH = 25
GOOD = "from stn_lightning.transforms import Affine\nclass Good(Affine): ...\n"
RAISED = (
    "RuntimeError('no CUDA')",
    "SystemExit(0)",
    "SystemExit('gone')",
    "BaseException()",
    "GeneratorExit",
    "StopIteration",
    "MemoryError",
    "RecursionError",
    "OSError(2, 'x')",
    "ExceptionGroup('many', [ValueError(1)])",
    "ImportError('\\x1b[2J')",
    "type('E\\x1b[31m', (BaseException,), {})()",
    "UnicodeDecodeError('utf-8', b'x', 0, 1, 'y')",
    "ValueError('x' * 10**6)",
)
SILENT = "class Mute(BaseException):\n    def __str__(self): raise SystemExit(1)\nraise Mute\n"
LIES = (
    "Rogue = 3",
    "def Rogue(): ...",
    "class Rogue: ...",
    "class Rogue:\n    __mro__ = (Affine,)\n    __bases__ = (Affine,)\nRogue = Rogue()",
    "class Rogue:\n    __class__ = type\n    __mro__ = type.mro(Affine)\nRogue = Rogue()",
    "class Rogue:\n    @property\n    def __class__(self): raise SystemExit(9)\nRogue = Rogue()",
    "class Meta(type):\n    __mro__ = property(lambda cls: type.mro(Affine))\nclass Rogue(metaclass=Meta): ...",
    "class Meta(type):\n    def __getattribute__(cls, name): return Affine\nclass Rogue(metaclass=Meta): ...",
    "class Meta(type):\n    def __subclasscheck__(cls, other): return True\nclass Rogue(metaclass=Meta): ...",
    "class Meta(type):\n    def __instancecheck__(cls, other): return True\nclass Rogue(metaclass=Meta): ...",
    "class Rogue: ...\nfrom stn_lightning.transforms import Transform\nTransform.register(Rogue)",
    "class Rogue: ...\nRogue.__bases__ and setattr(Rogue, '__module__', 'stn_lightning.transforms')",
)
DOCS = (
    "class Meta(type(Affine)):\n    def __getattribute__(cls, name):\n"
    "        if name == '__doc__': raise SystemError('\\x1b[2J')\n"
    "        return super().__getattribute__(name)\nclass Rogue(Affine, metaclass=Meta): ..."
)
SPOKEN = "class Rogue(Affine):\n    '''Clears \\x1b[2J\\u202e the screen.'''\n"
NAMES = (
    "a b",
    "a/b",
    "../../x",
    "\x1b[2Jx",
    "\u0430ffine",
    "x\u202ey",
    "x" * 5000,
    "class",
    "None",
    "_x",
    "__init__",
    "__path__",
    "registry",
    "Affine",
    "Transform",
    "1st",
    "a.b",
    "a-b",
    "\u2028",
    "\x07bell",
    "\ufb01x",
    "\u00e9",
    "$(id)",
    "--help",
    "import",
    "\\",
    "'",
    '"',
)
VALUES = (
    "",
    ":",
    "::",
    "no such module:X",
    "rogue_plugin:",
    ":Rogue",
    "rogue_plugin:Rogue.a.b",
    "..:x",
    "rogue_plugin:\x1b[2J",
    "os",
    "rogue_plugin:Rogue [",
    "rogue_plugin:__class__",
    "os:system",
    "stn_lightning:__version__",
    "x" * 9000,
)
METADATA = (
    "",
    "Name:\n",
    "no metadata at all",
    "Name: \x1b[2Jevil\nVersion: \x07\n",
    "Name: " + "n" * 9000,
    "Version: 1\n",
    "\x00",
)


def install(site: Path, number: int, points: str, source: str = "", metadata: str | None = None) -> None:
    """A package as pip leaves it, with whatever texts."""
    info = site / f"stn_rogue{number}-0.7.dist-info"
    info.mkdir(parents=True)
    if metadata is None:
        metadata = f"Metadata-Version: 2.1\nName: stn-rogue{number}\nVersion: 0.7\n"
    if metadata != "no metadata at all":
        (info / "METADATA").write_text(metadata)
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{points}")
    (site / f"rogue{number}.py").write_text(f"from stn_lightning.transforms import Affine\n{source}")


def neighbour(site: Path) -> None:
    """A sound plugin, which must work whatever the others are."""
    info = site / "stn_neighbour-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stn-neighbour\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nneighbour = good_plugin:Good\n")
    (site / "good_plugin.py").write_text(GOOD)


class Rogue(NamedTuple):
    """A broken plugin.

    Attributes:
        name: by which a config would name it; empty where it has none that one could.
        is_broken: whether it must be said to be broken; else it must only be harmless.
    """

    name: str
    is_broken: bool


def rogue(number: int, site: Path) -> Rogue:
    """Installs the rogue plugin of a number."""
    draw = Random(number)
    kind, turn = number % 10, number // 10
    name, value, metadata, source = f"rogue{number}", f"rogue{number}:Rogue", None, "class Rogue(Affine): ...\n"
    more = ""
    if kind in (0, 1):
        source = SILENT if turn % 7 == 6 else f"raise {RAISED[(2 * turn + kind) % len(RAISED)]}\n"
    elif kind in (2, 3):
        source = LIES[(2 * turn + kind - 2) % len(LIES)]
    elif kind == 4:
        source = DOCS
    elif kind == 5:
        name = NAMES[turn % len(NAMES)]
    elif kind == 6:
        name = NAMES[(turn + 13) % len(NAMES)] if turn % 2 else ("affine", "tps", "projective")[turn // 2 % 3]
    elif kind == 7:
        value = VALUES[turn % len(VALUES)].replace("rogue_plugin", f"rogue{number}")
    elif kind == 8:
        metadata = METADATA[turn % len(METADATA)]
        source = SPOKEN if turn % 2 else source
    else:
        source, more = "", "".join(f"crowd{number}_{i} = rogue{number}:X{i}\n" for i in range(draw.randint(100, 500)))
    install(site, number, f"{name} = {value}\n{more}", source, metadata)
    can_be_asked = kind not in (5, 6) or name in ("affine", "tps", "projective")
    return Rogue(name if can_be_asked else "", kind != 8)


COMMANDS = """
import io, json, sys
from contextlib import redirect_stdout, redirect_stderr
from stn_lightning.__main__ import main
from stn_lightning import transforms
from stn_lightning.plugins import PluginError
done = []
for args in {commands!r}:
    out, err, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(args)
        except SystemExit as e:
            code = e.code if isinstance(e.code, int) else int(e.code is not None)
            err.write(e.code if isinstance(e.code, str) else "")
    done.append((code, out.getvalue(), err.getvalue()))
said = {{}}
for name in {names!r}:
    try:
        said[name] = transforms.registry[name].__qualname__
    except PluginError as e:
        said[name] = f"PluginError: {{e}}"
json.dump([done, said], open("done.json", "w"))
"""


@cache
def batch(first: int) -> tuple[str, list[str]]:
    """What is wrong with the commands where the plugins from a number on are installed, and what with each plugin."""
    with TemporaryDirectory(prefix="stn-fault-") as name:
        folder = Path(name) / "work"
        folder.mkdir()
        site = folder / "site"
        neighbour(site)
        rogues = [rogue(number, site) for number in range(first, first + BATCH)]
        asked = next(each.name for each in rogues if each.name and each.is_broken and each.name.startswith("rogue"))
        commands = [["plugins"], ["plugins", "--json"], ["fit", "--help"]]
        commands += [["fit", f"--model.transform={each}", "--print_config"] for each in ("neighbour", "affine", asked)]
        code = COMMANDS.format(commands=commands, names=[each.name for each in rogues if each.name])
        done = run(folder, path=[str(site)], code=code, limit=120)
        if done.code:
            return f"the process ended with {done.code}: {done.err[-900:]}", []
        results, said = json.loads((folder / "done.json").read_text())
    for command, (code, out, err) in zip(commands, results, strict=True):
        is_refused = f"--model.transform={asked}" in command
        if bool(code) != is_refused or "Traceback" in err:
            return f"{command} ends with {code}: {err[-900:]}", []
        if strange := [c for c in out + err if not c.isprintable() and c not in "\n\t\b"]:
            return f"{command} sends {strange[:3]} to the terminal", []
    rows = json.loads(results[1][1])
    return "", [_wrong(each, number, rows, said) for number, each in enumerate(rogues, first)]


def _wrong(each: Rogue, number: int, rows: list[dict[str, str]], said: dict[str, str]) -> str:
    if each.name in ("affine", "tps", "projective") and said[each.name].startswith("PluginError"):
        return f"the built-in {each.name} is not what it was: {said[each.name]}"
    if not each.is_broken:
        return ""
    package = f"stn-rogue{number}"
    broken = [row for row in rows if row["broken"] and package in (row["package"], *row["broken"].split())]
    if not broken:
        return f"{package} ({each.name!r}) is not said to be broken"
    if number % 10 != 4 and each.name.startswith("rogue") and package not in said[each.name]:
        return f"accepted, or without its package: {said[each.name]}"
    return ""


def trial(number: int, folder: Path) -> str:
    wrong, each = batch(number - number % BATCH)
    return wrong or each[number % BATCH]


FAULTS = [
    Fault(
        "plugins that raise, lie, collide, or have hostile names or metadata", "others fail, terminal attacked", 200, 2, trial
    )
]
