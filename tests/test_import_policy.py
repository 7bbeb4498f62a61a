"""Configs and checkpoints that try to run code: nothing runs, nothing is imported, and the message says what is open."""

import json
import sys
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path

import fsspec
import pytest
import torch
import yaml

from stn_lightning import transforms
from stn_lightning._import_policy import ImportPolicy
from stn_lightning.component import plain
from stn_lightning.networks import FCN
from stn_lightning.tasks import Classification, Task

QUICK = ["--trainer.fast_dev_run=1", "--trainer.enable_model_summary=false", "--data.batch_size=8"]
SMALL = [*QUICK, "--model.network=FCN", "--model.network.width=2"]
TRAP = """
    from pathlib import Path
    Path({marker!r}).touch()

    from typing import Any
    from lightning.pytorch import Callback
    from stn_lightning.networks import FCN
    from stn_lightning.tasks import Classification
    from stn_lightning.transforms import Affine

    class Warp(Affine):
        def __init__(self, sizes: tuple[int, ...] = (), folder: Path = Path()) -> None:
            super().__init__()
            self.sizes, self.folder = sizes, folder

    class Mine(Classification): ...

    class Quiet(Callback):
        def __init__(self, value: Any = None) -> None:
            self.value = value

        def on_fit_start(self, trainer, pl_module):
            print("value:", type(self.value).__name__)

    def network(shape, num_classes, transformer) -> FCN:
        return FCN(shape, num_classes, transformer, width=2)
"""


@pytest.fixture(autouse=True)
def _closed(monkeypatch):
    monkeypatch.delenv("STN_ALLOW_IMPORT", raising=False)


@pytest.fixture
def marker(tmp_path, importable):
    """A file that is there once an attack succeeds, or once ``stn_test_trap`` is imported."""
    from textwrap import dedent

    marker = tmp_path / "marker"
    (importable / "stn_test_trap.py").write_text(dedent(TRAP).format(marker=str(marker)))
    return marker


def spec(path, **init_args):
    return {"class_path": path, "init_args": init_args} if init_args else {"class_path": path}


def hook(value):
    return spec("lightning.pytorch.callbacks.LambdaCallback", on_fit_start=value)


# MARKER stands for the file of the fixture
CALLS = spec("subprocess.Popen", args=["touch", "MARKER"])
CALLED_BY_LIGHTNING = spec(
    "lightning.pytorch.cli.instantiate_class", args=["touch", "MARKER"], init={"class_path": "subprocess.check_call"}
)
TOUCH = spec("pathlib.Path.touch", self="MARKER")
ATTACKS = {  # option, value, what the message names
    "function": ("model.network", "os.system", "os.system"),
    "eval": ("model.network", "builtins.eval", "builtins.eval"),
    "class as network": ("model.network", CALLS, "subprocess.Popen"),
    "class as optimizer": ("model.optimizer", CALLS, "subprocess.Popen"),
    "class as transform": ("model.transform", CALLS, "subprocess.Popen"),
    "class as callback": ("trainer.callbacks", [CALLS], "subprocess.Popen"),
    "method": ("model.network", TOUCH, "pathlib.Path.touch"),
    "partial": ("model.network", spec("functools.partial", func="os.system"), "functools.partial"),
    "hook of a callback": ("trainer.callbacks", [hook(CALLS)], "subprocess.Popen"),
    "function of lightning": ("model.network", CALLED_BY_LIGHTNING, "lightning.pytorch.cli.instantiate_class"),
    "the same as a hook": ("trainer.callbacks", [hook(CALLED_BY_LIGHTNING)], "lightning.pytorch.cli.instantiate_class"),
    "command line of lightning": (
        "trainer.callbacks",
        [hook(spec("lightning.pytorch.cli.LightningCLI", args=["fit"]))],
        "lightning.pytorch.cli.LightningCLI",
    ),
    "function of ours": ("trainer.callbacks", [hook(spec("stn_lightning.cli.run", args=["--help"]))], "stn_lightning.cli.run"),
    "method of a task": (
        "model.network",
        spec("stn_lightning.tasks.Task.load_from_checkpoint", checkpoint_path="x"),
        "stn_lightning.tasks.Task.load_from_checkpoint",
    ),
    "through our modules": ("model.network", "stn_lightning.cli.os.system", "stn_lightning.cli.os.system"),
    "through our modules, called": ("model.network", spec("stn_lightning.cli.os.system", command="touch MARKER"), "system"),
    "through lightning": ("model.network", "lightning.pytorch.strategies.ddp.logging.FileHandler", "logging.FileHandler"),
    "through torch.nn": ("model.network", spec("torch.nn.modules.module.functools.partial", func="x"), "functools.partial"),
    "through torch.optim": ("model.network", "torch.optim.optimizer.torch.load", "torch.optim.optimizer.torch.load"),
    "import as network": ("model.network", "stn_test_trap.network", "stn_test_trap.network"),
    "import as transform": ("model.transform", spec("stn_test_trap.Warp"), "stn_test_trap.Warp"),
    "import as callback": ("trainer.callbacks", "stn_test_trap.Quiet", "stn_test_trap.Quiet"),
    "import as data": ("data", "stn_test_trap.Data", "stn_test_trap.Data"),
    "import as model": ("model", "stn_test_trap.Mine", "stn_test_trap.Mine"),
    "import for help": ("model.transform.help", "stn_test_trap.Warp", "stn_test_trap.Warp"),
}


def filled(value, marker):
    return json.loads(json.dumps(value).replace("MARKER", str(marker)))


@pytest.mark.parametrize("attack", ATTACKS)
def test_option_that_attacks(stn, marker, attack):
    option, value, named = ATTACKS[attack]
    value = filled(value, marker)
    done = stn("fit", *QUICK, f"--{option}={value if isinstance(value, str) else json.dumps(value)}")
    assert not marker.exists()
    assert named in done.message
    assert "--allow-import" in done.message


@pytest.mark.parametrize("attack", ["class as optimizer", "function of lightning", "function of ours", "import as callback"])
def test_config_that_attacks(stn, marker, attack, tmp_path):
    option, value, named = ATTACKS[attack]
    section, _, argument = option.partition(".")
    inner = {argument: filled(value, marker)}
    if section == "model":
        inner = spec("stn_lightning.tasks.Classification", **inner)
    (tmp_path / "evil.yaml").write_text(yaml.safe_dump({section: inner}))
    done = stn("fit", "--config=evil.yaml")
    assert not marker.exists()
    assert named in done.message
    assert "--allow-import" in done.message


def test_refusal_says_what_is_open_and_how_to_open_more(stn, marker):
    message = stn("fit", *SMALL, "--allow-import=mylab", "--trainer.callbacks=stn_test_trap.Quiet").message
    assert message.startswith("stn: error: --trainer.callbacks: importing stn_test_trap.Quiet is not allowed")
    for package in ("stn_lightning", "torch.optim", "torch.nn", "lightning", "mylab"):
        assert package in message
    assert "--allow-import stn_test_trap" in message
    assert "STN_ALLOW_IMPORT=stn_test_trap" in message


def test_a_config_cannot_open_a_package(stn, marker, tmp_path):
    (tmp_path / "evil.yaml").write_text("allow_import: [stn_test_trap]\ntrainer: {callbacks: stn_test_trap.Quiet}\n")
    assert stn("fit", "--config=evil.yaml").code != 0
    assert not marker.exists()


@pytest.mark.parametrize(
    ("option", "content"), [("config", "{trainer: {max_epochs: 1}}"), ("model.transform", "{class_path: affine}")]
)
def test_no_option_is_fetched_from_an_address(stn, option, content):
    fsspec.filesystem("memory").pipe("/evil.yaml", content.encode())
    assert "memory://evil.yaml" in stn("fit", *SMALL, f"--{option}=memory://evil.yaml").message


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("option", [["--allow-import", "stn_test_trap"], ["--allow-import=stn_test_trap"]], ids=["two", "one"])
def test_option_opens_a_package_wherever_it_stands(stn, marker, option, place):
    args = ["fit", *SMALL, "--trainer.callbacks=stn_test_trap.Quiet", "--allow-import=stn_other"]
    args[{0: 0, 1: 1, 2: len(args)}[place] : 0] = option
    done = stn(*args)
    assert done.code == 0, done.err
    assert marker.exists()


def test_what_has_no_type_is_not_built(stn, marker):
    callback = spec("stn_test_trap.Quiet", value=spec("torch.nn.Linear", in_features=1, out_features=1))
    done = stn("fit", *SMALL, "--allow-import=stn_test_trap", f"--trainer.callbacks={json.dumps([callback])}")
    assert done.code == 0, done.err
    assert "value: Namespace" in done.out


def test_an_open_package_stays_open_for_one_command_only(stn, marker):
    options = ["fit", *SMALL, "--print_config", "--trainer.callbacks=stn_test_trap.Quiet"]
    assert stn(*options, "--allow-import=stn_test_trap").code == 0
    assert "--allow-import stn_test_trap" in stn(*options).message


def test_environment_opens_packages(stn, marker, monkeypatch):
    monkeypatch.setenv("STN_ALLOW_IMPORT", "stn_other, stn_test_trap")
    done = stn("fit", *SMALL, "--trainer.callbacks=stn_test_trap.Quiet", "--model.transform=stn_test_trap.Warp")
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--allow-import"], "expected a package after --allow-import"),
        (["--allow-import="], "expected a package after --allow-import"),
        (["--allow-import=my-lab"], "'my-lab'"),
        (["--allow-import=*"], "'*'"),
        (["--allow-import=jsonargparse"], "jsonargparse"),
    ],
)
def test_what_cannot_be_opened(stn, options, text):
    assert text in stn("fit", *SMALL, *options).message


@pytest.mark.parametrize(
    "options",
    [
        ["--model.scheduler=lightning.pytorch.cli.ReduceLROnPlateau", "--model.scheduler.monitor=val/error"],
        [
            "--model.optimizer=torch.optim.AdamW",
            "--model.scheduler=torch.optim.lr_scheduler.StepLR",
            "--model.scheduler.step_size=1",
        ],
        ["--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=val/error"],
        ["--trainer.profiler=lightning.pytorch.profilers.SimpleProfiler"],
        ["--trainer.plugins=lightning.pytorch.plugins.environments.LightningEnvironment"],
        ["--trainer.strategy=lightning.pytorch.strategies.SingleDeviceStrategy", "--trainer.strategy.device=cpu"],
        ["--model.transform=stn_lightning.transforms._affine.Affine"],
    ],
    ids=lambda options: options[0].split(".")[-1],
)
def test_the_usual_classes_are_open(stn, options):
    done = stn("fit", *SMALL, *options, "--print_config")
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    "value", ["pathlib:Path", "os:system", "builtins:eval", "jsonargparse:Namespace", "torch.hub:load", "no-name:X", ":", ""]
)
def test_an_entry_point_opens_nothing_but_a_plugin(monkeypatch, value):
    before = ImportPolicy().foreign
    monkeypatch.setitem(transforms.registry.points, "odd", [EntryPoint("odd", value, transforms.registry.group)])
    assert ImportPolicy().foreign == before


def test_an_entry_point_opens_its_package(monkeypatch):
    monkeypatch.setitem(transforms.registry.points, "new", [EntryPoint("new", "a_plugin._new:New", transforms.registry.group)])
    policy = ImportPolicy()
    assert policy.allows("a_plugin.New")
    assert not policy.allows("a_plugin_too.New")


# checkpoints


@pytest.fixture(scope="module")
def sound():
    """A checkpoint of a small task, as a dictionary."""
    task = Classification((1, 28, 28), 10, network=partial(FCN, width=2))
    return {
        "state_dict": task.state_dict(),
        "hyper_parameters": dict(task.hparams),
        "pytorch-lightning_version": "2.6.6",
        "epoch": 0,
        "global_step": 0,
    }


@pytest.fixture
def craft(sound, tmp_path):
    """A checkpoint with other hyper-parameters."""

    def craft(**changes):
        file = tmp_path / "evil.ckpt"
        torch.save({**sound, "hyper_parameters": {**sound["hyper_parameters"], **changes}}, file)
        return file

    return craft


HYPER_PARAMETERS = {
    "import as transform": {"transform": spec("stn_test_trap.Warp", sizes=[1])},
    "import as network": {"network": spec("stn_test_trap.network")},
    "import as task": {"_class_path": "stn_test_trap.Mine"},
    "import in a part": {"network": spec("stn_lightning.networks.FCN", width=spec("stn_test_trap.Warp"))},
    "import by a string": {"transform": "stn_test_trap.Warp"},
    "import by a factory's string": {"network": "stn_test_trap.network"},
    "import by yaml in a string": {"transform": "{class_path: stn_test_trap.Warp}"},
    "import by a file": {"transform": "evil.yaml"},
    "import through an open module": {"transform": spec("stn_lightning.stn_test_trap.Warp")},
    "class as optimizer": {"optimizer": CALLS},
    "class as network": {"network": CALLS},
    "class as transform": {"transform": CALLS},
    "class as task": {"_class_path": "subprocess.Popen"},
    "function": {"network": spec("os.system")},
    "function of lightning": {"network": CALLED_BY_LIGHTNING},
    "the same as optimizer": {"optimizer": CALLED_BY_LIGHTNING},
    "through our modules": {"network": spec("stn_lightning.cli.os.system", command="touch MARKER")},
    "function of ours": {"network": spec("stn_lightning.cli.run", args=["--help"])},
}


@pytest.mark.parametrize("attack", HYPER_PARAMETERS)
def test_checkpoint_that_attacks_python(craft, marker, attack, monkeypatch, tmp_path):
    (tmp_path / "evil.yaml").write_text("class_path: stn_test_trap.Warp\n")
    monkeypatch.chdir(tmp_path)
    file = craft(**filled(HYPER_PARAMETERS[attack], marker))
    for cls in (Classification, Task):
        with pytest.raises((ValueError, TypeError, AttributeError)):
            cls.load_from_checkpoint(file)
        assert not marker.exists()
        assert "stn_test_trap" not in sys.modules


@pytest.mark.parametrize("attack", HYPER_PARAMETERS)
def test_checkpoint_that_attacks_the_command(stn, craft, marker, attack, tmp_path):
    (tmp_path / "evil.yaml").write_text("class_path: stn_test_trap.Warp\n")
    file = craft(**filled(HYPER_PARAMETERS[attack], marker))
    # with a network: the two paths are compared
    assert stn("test", *QUICK, "--model.network=stn_lightning.networks.FCN", f"--ckpt_path={file}").message
    assert not marker.exists()
    assert "stn_test_trap" not in sys.modules


def test_instantiator_of_a_checkpoint_is_not_called(craft, marker):
    task = Classification.load_from_checkpoint(craft(_instantiator="stn_test_trap.network"))
    assert type(task.network) is FCN
    assert not marker.exists()


class Payload:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (self.file,)


@pytest.fixture
def pickled(sound, marker, tmp_path):
    """A checkpoint that runs code where it is unpickled."""
    torch.save({**sound, "payload": Payload(marker)}, tmp_path / "pickled.ckpt")
    return tmp_path / "pickled.ckpt"


@pytest.mark.parametrize("forced", [False, True])
def test_pickled_code_does_not_run_in_python(pickled, marker, forced, monkeypatch):
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    for options in ({}, {"weights_only": None}, {"weights_only": True}):
        with pytest.raises(Exception, match="Weights only load failed"):
            Classification.load_from_checkpoint(pickled, **options)
    with pytest.raises(ValueError, match="weights_only=True"):
        Classification.load_from_checkpoint(pickled, weights_only=False)
    with pytest.raises(ValueError, match="expected a local file"):
        Classification.load_from_checkpoint("http://127.0.0.1:9/pickled.ckpt")
    assert not marker.exists()


@pytest.mark.parametrize("forced", [False, True])
@pytest.mark.parametrize("options", [[], ["--weights_only=false"]])
@pytest.mark.parametrize("subcommand", ["fit", "test"])
def test_pickled_code_does_not_run_in_a_command(stn, pickled, marker, forced, options, subcommand, monkeypatch):
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    assert stn(subcommand, *SMALL, *options, f"--ckpt_path={pickled}").message
    assert not marker.exists()


@pytest.mark.parametrize("forced", [False, True])
def test_pickled_code_does_not_run_in_what_slurm_left(stn, pickled, marker, forced, monkeypatch):
    """Lightning looks for this file by itself."""
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    pickled.rename(pickled.with_name("hpc_ckpt_1.ckpt"))
    options = [*SMALL, f"--trainer.default_root_dir={pickled.parent}", "--ckpt_path=hpc"]
    assert "Weights only load failed" in stn("fit", *options).message
    assert "weights_only" in stn("fit", *options, "--weights_only=false").message
    assert not marker.exists()


def test_checkpoint_of_an_own_class_loads_where_it_is_imported(craft, marker):
    transform = spec("stn_test_trap.Warp", sizes=[3, 4], folder="here")
    with pytest.raises(ValueError, match=r"stn_test_trap\.Warp is not allowed.*STN_ALLOW_IMPORT.*import stn_test_trap before"):
        Classification.load_from_checkpoint(craft(transform=transform), strict=False)
    import stn_test_trap

    task = Classification.load_from_checkpoint(craft(transform=transform), strict=False)
    assert type(task.network.transformers["input"].transform) is stn_test_trap.Warp


def test_checkpoint_of_an_own_class_loads_where_it_is_open(craft, marker, monkeypatch):
    monkeypatch.setenv("STN_ALLOW_IMPORT", "stn_test_trap")
    transform = spec("stn_test_trap.Warp", sizes=[3, 4], folder="here")
    file = craft(transform=transform, _class_path="stn_test_trap.Mine")
    task = Task.load_from_checkpoint(file, strict=False)
    assert type(task).__name__ == "Mine"
    part = task.network.transformers["input"].transform
    assert (part.sizes, part.folder) == ((3, 4), Path("here"))
    assert task.hparams["transform"] == plain(part) == transform


def test_checkpoint_of_another_task_is_refused(craft, marker, monkeypatch):
    import stn_test_trap

    with pytest.raises(ValueError, match="expected a checkpoint of Mine"):
        stn_test_trap.Mine.load_from_checkpoint(craft())


def test_arguments_replace_those_of_a_checkpoint(craft):
    task = Classification.load_from_checkpoint(craft(label_smoothing=0.5), label_smoothing=0.25)
    assert task.criterion.label_smoothing == task.hparams["label_smoothing"] == 0.25
    with pytest.raises(RuntimeError, match="size mismatch"):
        Classification.load_from_checkpoint(craft(), network=partial(FCN, width=3))


def test_a_task_cannot_load_into_itself(craft):
    task = Classification.load_from_checkpoint(craft())
    with pytest.raises(AttributeError, match="load_from_checkpoint"):
        task.load_from_checkpoint(craft())
