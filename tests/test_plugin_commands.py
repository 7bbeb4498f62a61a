"""``stn plugins`` and ``stn check-plugin``: the command with packages installed."""

import json
import os
import subprocess
import sys

import pytest

GOOD = """
    import torch
    from stn_lightning.transforms import Transform

    class Shift(Transform):
        '''Translation by theta.

        More of it.
        '''

        num_params = 2

        def identity(self):
            return torch.zeros(2)

        def points(self, theta, xy):
            return xy + theta[:, None]

    class Other(Shift): ...

    class Sized(Shift):
        '''Has an argument without a default.

        Args:
            unit: shift of a unit of theta.
        '''

        def __init__(self, unit: float) -> None:
            super().__init__()
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory, install):
    folder = tmp_path_factory.mktemp("packages")
    names = {"shift": "stn_good:Shift", "sized": "stn_good:Sized", "bilinear": "stn_good:Other"}
    install(folder, "stn-good", "1.2", {"stn_lightning.transforms": names}, {"stn_good": GOOD})
    broken = {"torn": "stn_broken:Torn"}
    install(folder, "stn-broken", "0.3", {"stn_lightning.samplers": broken}, {"stn_broken": "import no_such_module"})
    return folder


@pytest.fixture
def command(packages, tmp_path):
    def command(*args):
        path = os.pathsep.join([str(packages), os.environ.get("PYTHONPATH", "")])
        return subprocess.run(
            [sys.executable, "-m", "stn_lightning", *args],
            env={**os.environ, "PYTHONPATH": path},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=250,
        )

    return command


def test_every_plugin_is_listed_and_a_broken_one_named(command):
    done = command("plugins")
    assert (done.returncode, done.stderr) == (0, "")
    lines = {tuple(line.split()[:4]): line for line in done.stdout.splitlines()}
    assert lines["transform", "shift", "stn-good", "1.2"].endswith("  Translation by theta.")
    torn = lines["sampler", "torn", "stn-broken", "0.3"]
    assert "BROKEN: " in torn
    assert "No module named 'no_such_module'" in torn
    assert any(key[:3] == ("localisation", "conv", "stn-lightning") for key in lines)


def test_list_as_json(command):
    rows = {(row["kind"], row["name"]): row for row in json.loads(command("plugins", "--json").stdout)}
    shift = rows["transform", "shift"]
    assert (shift["package"], shift["version"], shift["summary"], shift["broken"]) == (
        "stn-good",
        "1.2",
        "Translation by theta.",
        None,
    )
    assert "no_such_module" in rows["sampler", "torn"]["broken"]
    assert rows["transform", "affine"]["package"] == "stn-lightning"


def test_sound_plugin_is_checked_from_a_foreign_project(command, tmp_path):
    """The settings of the project in which the command runs do not reach the checks."""
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "conftest.py").write_text("raise RuntimeError")
    done = command("check-plugin", "shift")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "    ok  identity is the regular grid" in done.stdout
    assert "     -  inverse\n        offers no inverse" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("transform shift: none of ")


def test_broken_plugin_fails(command):
    done = command("check-plugin", "torn")
    assert done.returncode == 1
    assert "BROKEN" in done.stderr
    assert "no_such_module" in done.stderr
    assert "Traceback" not in done.stderr


WRONG = {
    "no transform 'shif' is installed (did you mean 'shift'?)": ["shif"],
    "missing a required argument: 'unit'": ["sized"],
    "expected --kind one of transform, sampler": ["bilinear"],
    "expected constructor arguments as JSON, got '{'": ["shift", "--variant", "{"],
    "expected constructor arguments as a JSON object": ["shift", "--variant", "[1]"],
    "got an unexpected keyword argument 'size'": ["shift", "--variant", '{"size": 1}'],
}
EACH = """
import json, sys
from stn_lightning.__main__ import main

for args in json.loads(sys.argv[1]):
    try:
        main(["check-plugin", *args])
    except SystemExit as e:
        print("exit", e.code, file=sys.stderr)
"""


def test_wrong_usage_is_one_line(packages):
    script = f"import sys; sys.path.insert(0, {str(packages)!r})\n{EACH}"
    command = [sys.executable, "-c", script, json.dumps(list(WRONG.values()))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith(("stn check-plugin: error:", "exit"))]
    assert lines[1::2] == ["exit 2"] * len(WRONG)
    for said, line in zip(WRONG, lines[::2], strict=True):
        assert said in line
