"""Checkpoints that try to run code, to take memory or time, or to name what is not theirs, by every way into a command."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from _faults.commands import run
from _faults.fault import Fault

SMALL = ("--model.network=FCN", "--model.network.width=2", "--data.batch_size=8", "--data.num_validation=8")
SHORT = (
    "--trainer.max_steps=1",
    "--trainer.limit_val_batches=1",
    "--trainer.enable_model_summary=false",
    "--trainer.enable_progress_bar=false",
)
CPU_SECONDS, KIB = 20, 3_000_000
CALLS = {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", "MARKER"]}}


class Payload:
    """Runs code where it is unpickled without ``weights_only``."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


@cache
def sound() -> bytes:
    """The last checkpoint of a run of one step."""
    with TemporaryDirectory(prefix="stn-fault-") as name:
        folder = Path(name) / "work"
        folder.mkdir()
        done = run(folder, "fit", *SMALL, *SHORT, limit=120)
        if done.code:
            raise RuntimeError(done.err)
        return (folder / "runs/version_0/checkpoints/last.ckpt").read_bytes()


def deep(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


def shared() -> list[Any]:
    """Few objects that stand for 10^9."""
    found: list[Any] = ["x"]
    for _ in range(9):
        found = [found] * 10
    return found


Content = dict[str, Any]


def hyper(**changes: Any) -> Callable[[Content, Path], Any]:
    return lambda content, marker: content["hyper_parameters"].update(
        json.loads(json.dumps(changes).replace("MARKER", str(marker)))
    )


def put(*keys: Any, value: Any) -> Callable[[Content, Path], Any]:
    """Sets an item of an item of the content; a function of the folder gives its value."""

    def change(content: Any, marker: Path) -> None:
        for key in keys[:-1]:
            content = content[key if key != "BestAndLast" else next(name for name in content if "BestAndLast" in name)]
        content[keys[-1]] = value(marker.parent) if callable(value) else value

    return change


def weight(value: Callable[[torch.Tensor], Any]) -> Callable[[Content, Path], Any]:
    def change(content: Content, marker: Path) -> None:
        name = next(iter(content["state_dict"]))
        content["state_dict"][name] = value(content["state_dict"][name])

    return change


def victim(folder: Path) -> dict[str, Any]:
    return {str(folder / "runs/version_0/checkpoints/../../../victim"): torch.tensor(9.0)}


PROGRESS = ("loops", "fit_loop", "epoch_progress", "current", "completed")
OPTIMIZER = ("optimizer_states", 0)
CRAFTED: tuple[tuple[str, Callable[[Content, Path], Any]], ...] = (
    ("pickled code", lambda content, marker: content.update(payload=Payload(marker))),
    ("class path of the task", hyper(_class_path="subprocess.Popen", args=["touch", "MARKER"])),
    ("class path of a part", hyper(network=CALLS)),
    ("class path of the optimizer", hyper(optimizer=CALLS)),
    (
        "function of lightning",
        hyper(network={"class_path": "lightning.pytorch.cli.instantiate_class", "init_args": {"init": CALLS}}),
    ),
    ("import", hyper(transform={"class_path": "stn_fault_trap.Trap", "init_args": {}})),
    ("import by a string", hyper(network="stn_fault_trap.call")),
    ("import by a file", hyper(transform="evil.yaml")),
    ("shared lists", put("hyper_parameters", "penalties", value=lambda _: shared())),
    ("deep lists", put("hyper_parameters", "penalties", value=lambda _: deep(300))),
    ("hyper-parameters of another type", put("hyper_parameters", value=[1, 2])),
    ("expanded weight", weight(lambda t: torch.zeros(1).expand(10**12))),
    (
        "expanded in the optimizer",
        put(*OPTIMIZER, "state", 0, "exp_avg", value=lambda _: torch.zeros(1, dtype=torch.float64).expand(10**12)),
    ),
    ("sparse weight", weight(lambda t: torch.zeros(3, 10**9).to_sparse())),
    ("meta weight", weight(lambda t: t.to("meta"))),
    ("integer weight", weight(lambda t: "text")),
    ("weights of another shape", weight(lambda t: t.flatten()[:1].clone())),
    ("weights that are not finite", weight(lambda t: t * float("nan"))),
    ("name of a weight", put("state_dict", "\x1b[2J\x07evil\u202e\nstn: error: x", value=torch.zeros(1))),
    ("no weights", lambda content, marker: content.pop("state_dict")),
    ("files of the best", put("callbacks", "BestAndLast", "best_model_path", value=lambda folder: str(folder / "secret"))),
    ("files to delete", put("callbacks", "BestAndLast", "best_k_models", value=victim)),
    ("remote files to delete", put("callbacks", "BestAndLast", "kth_best_model_path", value="memory://victim")),
    ("state of a callback", put("callbacks", "BestAndLast", value=[1])),
    ("callbacks of another type", put("callbacks", value=[1])),
    ("huge progress", put(*PROGRESS, value=10**30)),
    ("negative progress", put(*PROGRESS, value=-5)),
    ("progress in words", put(*PROGRESS, value="many")),
    ("progress not a number", put(*PROGRESS, value=float("nan"))),
    ("no loops", lambda content, marker: content["loops"].pop("fit_loop")),
    ("loops of another type", put("loops", value=3)),
    ("optimizer of other shapes", put(*OPTIMIZER, "state", 0, "exp_avg", value=torch.zeros(7))),
    ("optimizer without groups", put(*OPTIMIZER, "param_groups", value=[])),
    ("optimizer of another type", put(*OPTIMIZER, value=4)),
    ("no optimizer", lambda content, marker: content.pop("optimizer_states")),
    ("learning rate in words", put(*OPTIMIZER, "param_groups", 0, "lr", value="fast")),
    ("version", put("pytorch-lightning_version", value="\x1b[2J; rm -rf")),
    ("old version", put("pytorch-lightning_version", value="0.0.1")),
    ("no version", lambda content, marker: content.pop("pytorch-lightning_version")),
    ("name of the hyper-parameters", put("hparams_name", value="__import__('os').system('false')")),
)
# what may well be resumed: it differs in nothing that is used
HARMLESS = {
    "import by a file",
    "name of the hyper-parameters",
    "files of the best",
    "files to delete",
    "remote files to delete",
    "state of a callback",
    "no version",
    "old version",
}
# what only a fit reads
OF_A_FIT = {"progress", "loops", "optimizer", "learning rate", "callback", "expanded in the optimizer", "huge progress"}
COMMANDS = ("fit", "test", "export", "show", "validate", "predict", "load", "hpc", "forced")
WAYS = (
    "http://127.0.0.1:9/evil.ckpt",
    "s3://bucket/evil.ckpt",
    "memory://evil.ckpt",
    "file:///{}",
    "registry",
    "registry:evil",
    "hpc",
)
LOAD = """
from stn_lightning.tasks import Task
try:
    Task.load_from_checkpoint("evil.ckpt")
except (ValueError, TypeError, RuntimeError, AttributeError, FileNotFoundError) as e:
    raise SystemExit(f"error: {str(e).splitlines()[0]!r:.300}")
"""


def bomb(file: Path) -> None:
    """An archive of deflated zeros, each byte of which is a thousand."""
    plain = file.with_suffix(".plain")
    torch.save({"state_dict": {"w": torch.zeros(10**8)}}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member))
    plain.unlink()


def asked(command: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    file = str(folder / "evil.ckpt")
    if command == "hpc":
        (folder / "runs").mkdir()
        (folder / "evil.ckpt").rename(folder / "runs" / "hpc_ckpt_1.ckpt")
        return ["fit", *SMALL, *SHORT, "--ckpt_path=hpc"], {}
    if command in ("export", "show"):
        more = {"export": ["--format=torch", "--inputs=images"], "show": ["--images=images"]}[command]
        return [command, file, *more], {}
    environment = {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"} if command == "forced" else {}
    name = "fit" if command == "forced" else command
    options = SHORT[2:] if name != "fit" else ("--trainer.max_steps=2", *SHORT[1:])  # a step more than the file has
    if name == "predict" or name == "test" or name == "validate":
        options = (*options, f"--trainer.limit_{ {'validate': 'val'}.get(name, name) }_batches=1")
    return [name, *SMALL, *options, f"--ckpt_path={file}"], environment


def trial(number: int, folder: Path) -> str:
    """Each crafted file by a command, and addresses."""
    marker, secret, prey = folder / "marker", folder / "secret", folder / "victim"
    for each in (secret, prey):
        each.write_text("mine")
    (folder / "images").mkdir()
    (folder / "modules").mkdir()
    (folder / "modules" / "stn_fault_trap.py").write_text(f"open({str(marker)!r}, 'w')\n")
    (folder / "evil.yaml").write_text("class_path: stn_fault_trap.Trap\n")
    file = folder / "evil.ckpt"
    file.write_bytes(sound())
    if number % 60 < len(CRAFTED):
        what, change = CRAFTED[number % 60]
        content = torch.load(file, weights_only=True)
        change(content, marker)
        torch.save(content, file)
        is_of_fit = any(word in what for word in OF_A_FIT)
        command = "fit" if is_of_fit else COMMANDS[number % len(COMMANDS)]
    elif number % 60 < len(CRAFTED) + len(WAYS):
        what, command = WAYS[number % 60 - len(CRAFTED)].format(file), "fit"
    elif number % 60 == len(CRAFTED) + len(WAYS):
        what, command = "zip bomb", "test"
        bomb(file)
    else:
        what, command = "pickled code", COMMANDS[number % len(COMMANDS)]
        torch.save({**torch.load(file, weights_only=True), "payload": Payload(marker)}, file)
    marker.unlink(missing_ok=True)
    args, environment = asked(command, folder)
    if what in (way.format(file) for way in WAYS):
        args[-1] = f"--ckpt_path={what}"
    code = LOAD if command == "load" else ""
    done = run(folder, *args, environment=environment, path=[str(folder / "modules")], code=code, limit=CPU_SECONDS)
    said = f"{what} by {command}: "
    if marker.exists():
        return f"{said}executed"
    if not prey.exists() or any(each.read_bytes() == b"mine" for each in folder.glob("runs/**/*") if each.is_file()):
        return f"{said}deleted or copied a file that is not of the run"
    if done.kib > KIB:
        return f"{said}took {done.kib // 1000} MB"
    if done.code == 0 and what in HARMLESS:
        return ""
    wrong = done.wrong()
    return wrong and said + wrong


FAULTS = [Fault("checkpoints that call, take memory, or name other files", "executed, hung, accepted", 60, 1, trial)]
