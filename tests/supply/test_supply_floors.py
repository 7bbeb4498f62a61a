"""Floors of dependencies: read from pyproject.toml, with a reason each, and above what is known to be bad."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECTS = [ROOT / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]
LISTED = re.compile(r'^    "(?!stn-)([\w-]+).*?",(.*)$', re.MULTILINE)


def floors(*files):
    return subprocess.run([sys.executable, ROOT / ".ci" / "floors.py", *files], capture_output=True, text=True, timeout=60)


def project(folder, name, *dependencies, extra=()):
    folder.mkdir()
    file = folder / "pyproject.toml"
    table = f'[project]\nname = "{name}"\ndependencies = {list(dependencies)}\n'
    file.write_text(f"{table}[project.optional-dependencies]\nx = {list(extra)}\n")
    return file


def listed():
    """Requirements of the package and its extras by name."""
    table = tomllib.loads(PROJECTS[0].read_text())["project"]
    lines = sum(table["optional-dependencies"].values(), table["dependencies"])
    return {requirement.name: requirement for requirement in map(Requirement, lines)}


def test_highest_floor_of_several_projects_counts(tmp_path):
    first = project(tmp_path / "a", "first", "numpy>=2.0,<3", "Pillow[xmp]>=12.3", extra=["scipy>=1.14"])
    second = project(tmp_path / "b", "second", "first>=0.1", "numpy>=2.10", "pillow>=9")
    assert floors(first, second).stdout == "numpy==2.10\npillow==12.3\nscipy==1.14\n"


def test_dependency_without_floor_is_named(tmp_path):
    done = floors(project(tmp_path / "a", "first", "numpy<3"))
    assert done.returncode != 0
    assert "first: numpy<3: expected one lower bound, numpy>=VERSION, got 0" in done.stderr


def test_every_dependency_has_a_floor():
    done = floors(*PROJECTS)
    assert done.returncode == 0, done.stderr
    names = {line.partition("==")[0] for line in done.stdout.splitlines()}
    assert names >= {"torch", "torchvision", "lightning", "pillow", "onnx", "timm"}


@pytest.mark.parametrize("file", PROJECTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_dependency_says_why(file):
    lines = LISTED.findall(file.read_text().partition("\n[project.scripts]")[0].partition("dependencies = [")[2])
    assert lines
    assert [name for name, rest in lines if not rest.strip().startswith("# ")] == []


@pytest.mark.parametrize(
    "bad",
    [
        "lightning==2.6.2",
        "lightning==2.6.3",
        "lightning==2.6.5",
        "torch==2.10.0",
        "pillow==12.2.0",
        "onnx==1.20.1",
        "h5py==3.15.1",
        "filelock==3.20.2",
        "tqdm==4.66.2",
        "pytest==9.0.2",
        "jsonargparse==4.51.0",
    ],
)
def test_release_with_known_advisories_is_refused(bad):
    name, _, number = bad.partition("==")
    assert number not in listed()[name].specifier
