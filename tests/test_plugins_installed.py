"""The command with third-party packages installed: one process in which they are on the import path."""

import json
import os
import subprocess
import sys

import pytest
import torch

MARK = """
    import os
    with open(os.environ["STN_TEST_MARKS"], "a") as file:
        file.write(__name__ + "\\n")
"""
WOBBLE = f"""{MARK}
    import torch
    from stn_lightning.localisations import Localisation, Regression
    from stn_lightning.samplers import Bilinear
    from stn_lightning.transforms import Transform

    class Wobble(Transform):
        '''Shift, scaled.

        Args:
            amount: how far a unit of theta shifts.
            about: the transform that it is about.
        '''

        num_params = 2

        def __init__(self, amount: float = 1.0, about: Transform | None = None) -> None:
            super().__init__()
            self.amount = amount
            self.about = about

        def identity(self):
            return torch.zeros(2)

        def points(self, theta, xy):
            return xy + self.amount * theta[:, None]

    class Tiny(Localisation):
        '''One linear layer.

        Args:
            gain: factor of the input.
        '''

        def __init__(self, input_shape, initial, gain: float = 1.0) -> None:
            super().__init__(input_shape, initial)
            self.trunk = torch.nn.Flatten()
            self.head = Regression(input_shape[0] * input_shape[1] * input_shape[2], initial)

    class Blur(Bilinear): ...
"""
ONE = f"""{MARK}
    from stn_lightning.transforms import Affine

    class One(Affine):
        def __init__(self) -> None:
            super().__init__()
"""
DRIVER = """
    import io, json, os, sys, warnings
    from contextlib import redirect_stderr, redirect_stdout

    import torch
    from stn_lightning.__main__ import main

    torch.set_num_threads(1)
    sys.argv = ["stn"]

    def marks():
        return open(os.environ["STN_TEST_MARKS"]).read().split()

    done = {}
    for name, args in json.load(open("commands.json")).items():
        out, err, code = io.StringIO(), io.StringIO(), 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                main(args)
            except SystemExit as e:
                code = e.code if isinstance(e.code, int) else int(e.code is not None)
                if isinstance(e.code, str):
                    print(e.code, file=sys.stderr)
        done[name] = {"code": code, "out": out.getvalue(), "err": err.getvalue(), "marks": marks()}

    from stn_lightning import transforms
    from stn_lightning.tasks import Classification

    task = Classification.load_from_checkpoint("runs/version_0/checkpoints/last.ckpt")
    transform = task.network.transformers["input"].transform
    done["loaded"] = {
        "class": type(transform).__name__,
        "is the plugin": type(transform) is transforms.wobble,
        "amount": transform.amount,
        "about": type(transform.about).__name__,
        "hparams": task.hparams["transform"],
    }
    json.dump(done, open("done.json", "w"))
"""
SMALL = ["--model.network=FCN", "--model.network.parameters=70000", "--data.batch_size=8", "--data.num_validation=16"]
SHORT = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--trainer.enable_model_summary=false"]
WOBBLING = ["--model.transform=wobble", "--model.transform.amount=0.25", "--model.transform.about=tps"]
COMMANDS = {
    # in this order: what is imported is never forgotten
    "help": ["fit", "--help"],
    "affine": ["fit", "--model.transform=affine", "--print_config"],
    "misspelt": ["fit", "--model.transform=woble"],
    "wobble": ["fit", *WOBBLING, "--model.localisation=tiny", "--model.sampler=blur", "--print_config"],
    "wobble help": ["fit", "--model.transform.help", "wobble"],
    "tiny help": ["fit", "--model.localisation.help", "tiny"],
    "wobble fit": ["fit", *WOBBLING, "--model.localisation=tiny", "--model.sampler=blur", *SMALL, *SHORT],
    "wobble test": ["test", *SMALL, "--ckpt_path=last", "--trainer.logger=false"],
    "broken": ["fit", "--model.transform=broken"],
    "broken path": ["fit", "--model.transform=stn_lightning.transforms.broken"],
    "quits": ["fit", "--model.transform=quits"],
    "twice": ["fit", "--model.transform=twice"],
    "twice by path": ["fit", "--model.transform=stn_one.One", "--print_config"],
    "reserved": ["fit", "--model.transform=registry"],
    "odd": ["fit", "--model.transform=odd"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("installed")


@pytest.fixture(scope="module")
def done(folder, install):
    site = folder / "site"
    groups = {"stn_lightning.transforms": {"wobble": "stn_wobble:Wobble"}}
    groups["stn_lightning.localisations"] = {"tiny": "stn_wobble:Tiny"}
    groups["stn_lightning.samplers"] = {"blur": "stn_wobble:Blur"}
    install(site, "stn-wobble", "1.2", groups, {"stn_wobble": WOBBLE})
    for dist, version, names, modules in (
        (
            "stn-broken",
            "0.3",
            {"broken": "stn_broken:Boom"},
            {"stn_broken": MARK + "    raise RuntimeError('no CUDA extension')"},
        ),
        ("stn-quits", "0.4", {"quits": "stn_quits:Gone"}, {"stn_quits": MARK + "    raise SystemExit(0)"}),
        ("stn-one", "1.0", {"twice": "stn_one:One"}, {"stn_one": ONE}),
        ("stn-two", "2.0", {"twice": "stn_two:Two"}, {"stn_two": ONE.replace("One", "Two")}),
        ("stn-rude", "0.5", {"registry": "stn_one:One"}, {}),
        ("stn-odd", "0.6", {"odd": "pathlib:Path"}, {}),
    ):
        install(site, dist, version, {"stn_lightning.transforms": names}, modules)
    (folder / "marks").touch()
    (folder / "commands.json").write_text(json.dumps(COMMANDS))
    install(folder / "driver", "driver", "1", {}, {"driver": DRIVER})
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "STN_TEST_MARKS": str(folder / "marks"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(folder / "driver" / "driver.py")]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stderr
    return json.loads((folder / "done.json").read_text())


def error(command):
    """The one line that a refused command says."""
    assert command["code"] != 0
    assert "Traceback" not in command["err"]
    (line,) = [line for line in command["err"].splitlines() if "error:" in line]
    return line


def test_help_lists_every_package_and_imports_none(done):
    assert done["help"]["code"] == 0
    *_, transforms, localisations, samplers = done["help"]["out"].rstrip().splitlines()
    expected = {
        "transforms": {"affine", "broken", "odd", "projective", "quits", "registry", "similarity", "tps"},
        "localisations": {"backbone", "conv", "fc", "soft_argmax", "tiny"},
        "samplers": {"bicubic", "bilinear", "blur", "nearest"},
    }
    for (kind, names), line in zip(expected.items(), (transforms, localisations, samplers), strict=True):
        listed = line.removeprefix(f"installed {kind}: ").split(", ")
        assert names <= set(listed)
        assert listed == sorted(listed)
    assert done["help"]["marks"] == []


def test_short_name_imports_no_other_plugin(done):
    assert done["affine"]["code"] == 0
    assert "class_path: stn_lightning.transforms.affine" in done["affine"]["out"]
    assert done["affine"]["marks"] == []
    assert done["wobble"]["marks"] == ["stn_wobble"]


def test_misspelt_plugin_is_suggested(done):
    line = error(done["misspelt"])
    assert "'woble'" in line
    assert "did you mean 'wobble'" in line
    assert "installed transforms: affine" in line
    assert done["misspelt"]["marks"] == []


def test_plugins_of_each_kind_are_chosen_by_short_name(done):
    out = done["wobble"]["out"]
    assert done["wobble"]["code"] == 0, done["wobble"]["err"]
    assert "class_path: stn_lightning.transforms.wobble" in out
    assert "amount: 0.25" in out
    assert "class_path: stn_lightning.samplers.blur" in out


def test_help_of_a_plugin_is_its_docstring(done):
    assert "how far a unit of theta shifts" in done["wobble help"]["out"]
    assert "factor of the input" in done["tiny help"]["out"]


def test_checkpoint_of_a_plugin_is_plain_and_names_it_as_ours(done, folder):
    assert done["wobble fit"]["code"] == 0, done["wobble fit"]["err"]
    kept = torch.load(folder / "runs" / "version_0" / "checkpoints" / "last.ckpt", weights_only=True)["hyper_parameters"]
    assert kept["transform"]["class_path"] == "stn_lightning.transforms.wobble"
    assert kept["transform"]["init_args"]["amount"] == 0.25
    assert kept["transform"]["init_args"]["about"]["class_path"] == "stn_lightning.transforms.tps"
    assert kept["localisation"]["class_path"] == "stn_lightning.localisations.tiny"
    assert kept["sampler"]["class_path"] == "stn_lightning.samplers.blur"


def test_checkpoint_of_a_plugin_loads(done):
    assert done["wobble test"]["code"] == 0, done["wobble test"]["err"]
    loaded = done["loaded"]
    assert (loaded["class"], loaded["is the plugin"], loaded["amount"]) == ("Wobble", True, 0.25)
    assert loaded["about"] == "ThinPlateSpline"
    assert loaded["hparams"]["class_path"] == "stn_lightning.transforms.wobble"


def test_checkpoint_whose_plugin_is_not_installed_names_it(done, folder, stn):
    assert done["wobble fit"]["code"] == 0
    file = folder / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    refused = stn("test", "--trainer.logger=false", f"--ckpt_path={file}", *SMALL)
    assert refused.code != 0
    assert "no transform 'wobble' is installed" in refused.message
    assert "affine, affine1d" in refused.message


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        ("broken", ["broken", "stn-broken 0.3", "RuntimeError: no CUDA extension"]),
        ("broken path", ["broken", "stn-broken 0.3", "RuntimeError: no CUDA extension"]),
        ("quits", ["quits", "stn-quits 0.4", "SystemExit: 0"]),
        ("twice", ["twice", "stn-one 1.0", "stn-two 2.0", "class path"]),
        ("reserved", ["registry", "stn-rude 0.5", "reserved"]),
        ("odd", ["odd", "stn-odd 0.6", "not a subclass"]),
    ],
)
def test_unusable_plugin_is_one_line_that_names_the_package(done, command, parts):
    line = error(done[command])
    assert [part for part in parts if part not in line] == [], line


def test_class_path_works_where_two_packages_have_one_name(done):
    assert done["twice by path"]["code"] == 0, done["twice by path"]["err"]
    assert "class_path: stn_one.One" in done["twice by path"]["out"]
