"""Configs that try to run code, to import, or to take hours, by every way into a command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from _faults.commands import CPU_SECONDS, run
from _faults.fault import Fault

TRAP = "from pathlib import Path\nPath({marker!r}).touch()\ndef call(*a, **k): ...\nclass Trap: ...\n"
QUICK = ("--trainer.fast_dev_run=1", "--data.source=blobs", "--trainer.enable_model_summary=false")


def spec(path: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": path, "init_args": arguments} if arguments else {"class_path": path}


def calls(path: str) -> tuple[dict[str, Any] | str, ...]:
    return (path, spec(path, args=["touch", "MARKER"]), spec(path, command="touch MARKER"))


# what a config would call or import; MARKER stands for the file that is there once it did
CALLED: tuple[Any, ...] = (
    *(each for path in ("os.system", "subprocess.Popen", "builtins.exec", "torch.hub.os.system") for each in calls(path)),
    spec("pathlib.Path.touch", self="MARKER"),
    spec("functools.partial", func="os.system"),
    spec("lightning.pytorch.cli.instantiate_class", args=["touch", "MARKER"], init={"class_path": "subprocess.check_call"}),
    spec("stn_lightning.cli.os.system", command="touch MARKER"),
    spec("torch.utils.cpp_extension.subprocess.getoutput", cmd="touch MARKER"),
    "stn_fault_trap.call",
    spec("stn_fault_trap.Trap"),
    "stn_fault_trap.Trap",
    spec("stn_lightning.stn_fault_trap.Trap"),
    spec("torch.nn.modules.module.functools.partial", func="stn_fault_trap.call"),
)
PLACES = ("model.network", "model.transform", "model.optimizer", "trainer.callbacks", "data", "model", "trainer.logger")
TAGS = (
    '!!python/object/apply:os.system ["touch MARKER"]',
    '!!python/object/new:subprocess.Popen [["touch", "MARKER"]]',
    "!!python/name:os.system",
    "!!python/module:stn_fault_trap",
    '!!python/object/apply:pathlib.Path.touch ["MARKER"]',
)


def bomb(levels: int = 9) -> str:
    """A few hundred bytes that stand for 9^levels values."""
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(lines) + "\n"


def flow_bomb(levels: int = 9) -> str:
    inner = [f"&a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return f"[&a0 [1,1,1,1,1,1,1,1,1],{','.join(inner)}]"


COSTLY = (
    f"model:\n  class_path: Classification\n  init_args:\n    {bomb().replace(chr(10), chr(10) + '    ')}\n",
    f"trainer: {{max_epochs: {flow_bomb()}}}",
    f"trainer: {{max_epochs: {json.dumps(flow_bomb())}}}",
    f"trainer: {{devices: [{json.dumps(flow_bomb())}]}}",
    f"trainer: {{callbacks: {flow_bomb()}}}",
    "trainer: &a {callbacks: [*a]}",
    "trainer: {callbacks: " + "[" * 5000 + "]" * 5000 + "}",
    "trainer: {callbacks: " + '{"a": ' * 900 + "1" + "}" * 901,
    "trainer: {callbacks: [" + "1," * 500_000 + "1]}",
    "trainer: {callbacks: [" + "EarlyStopping," * 50_000 + "EarlyStopping]}",
    "# " + "x" * 3_000_000,
    "a: &a {x: 1}\n"
    + "".join(f"{c}: &{c} {{<<: [*{p}, *{p}, *{p}, *{p}]}}\n" for p, c in zip("abcdefghijklm", "bcdefghijklmn", strict=True)),
    "trainer: {max_epochs: 1, max_epochs: 2}",
    "seed_everything: " + "9" * 6000,
    "seed_everything: 1" + ":59" * 100_000,
    "? [a, b]\n: 1\n",
)


def by_config(folder: Path, text: str) -> tuple[list[str], str]:
    (folder / "evil.yaml").write_text(text)
    return ["fit", *QUICK[:1], "--config=evil.yaml"], "evil.yaml"


def by_part(folder: Path, text: str) -> tuple[list[str], str]:
    (folder / "part.yaml").write_text(text)
    (folder / "whole.yaml").write_text("model: {class_path: Classification, init_args: {network: part.yaml}}\n")
    return ["fit", *QUICK[:1], "--config=whole.yaml"], "part.yaml"


def by_report(folder: Path, text: str) -> tuple[list[str], str]:
    (folder / "version_0").mkdir()
    (folder / "version_0" / "config.yaml").write_text(text)
    return ["report", "version_0"], "config.yaml"


def by_option(folder: Path, text: str) -> tuple[list[str], str]:
    return ["fit", *QUICK[:1], f"--trainer.callbacks={text[:100_000]}"], "--trainer.callbacks"


def judged(folder: Path, args: list[str], name: str, marker: Path) -> str:
    done = run(folder, *args, path=[str(folder / "modules")])
    if marker.exists():
        return f"executed: {args}"
    if done.seconds > CPU_SECONDS:
        return f"took {done.seconds:.1f} s of the processor: {args}"
    if args[0] == "report":  # it says what it left out, and that there is no other run
        return "" if done.code == 1 and name in done.err and "Traceback" not in done.err else f"{done.code}: {done.err[-500:]}"
    return done.wrong(*([name] if name else []))


def trial(number: int, folder: Path) -> str:
    """By turns: a call or an import, a tag, and what takes hours."""
    marker = folder / "marker"
    (folder / "modules").mkdir()
    (folder / "modules" / "stn_fault_trap.py").write_text(TRAP.format(marker=str(marker)))
    if number % 2:
        ways = (by_config, by_part, by_report, by_option)
        args, name = ways[number // 2 % 4](folder, COSTLY[number // 2 % len(COSTLY)])
        return judged(folder, args, "" if ways[number // 2 % 4] is by_part else name, marker)
    turn = number // 2
    if turn % 5 == 4:
        tag = TAGS[turn // 5 % len(TAGS)].replace("MARKER", str(marker))
        way = (by_config, by_part, by_option)[turn // 5 % 3]
        args, _ = way(folder, tag if way is not by_config else f"trainer: {{callbacks: {tag}}}")
        return judged(folder, args, "", marker)
    value = json.loads(json.dumps(CALLED[turn % len(CALLED)]).replace("MARKER", str(marker)))
    place = PLACES[turn % len(PLACES)]
    section, _, argument = place.partition(".")
    why = "has no attribute" if "stn_lightning.stn_fault_trap" in str(value) else "--allow-import"
    if turn % 3 == 0:
        text = value if isinstance(value, str) else json.dumps(value)
        return judged(folder, ["fit", *QUICK[:1], f"--{place}={text}"], why, marker)
    inner = {argument: value} if argument else value
    if section == "model" and argument:
        inner = spec("stn_lightning.tasks.Classification", **inner)
    (folder / "evil.yaml").write_text(json.dumps({section: inner}))
    return judged(folder, ["fit", *QUICK[:1], "--config=evil.yaml"], why, marker)


FAULTS = [Fault("configs that call, import, or take hours", "executed, hung, accepted", 60, 1, trial)]
