"""What the pages show runs: their Python, their commands and the switches that they advise."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
LAYER = ROOT / "docs" / "layer.md"
PYTHON = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
NOT_HERE = ("...", "mylab", "swirl", "photos")  # left to the reader, or made on the page


def examples(page):
    """(line, source) of each Python block."""
    text = page.read_text()
    return [(text.count("\n", 0, block.start(1)), block[1]) for block in PYTHON.finditer(text)]


def commands(page):
    text = re.sub(r"\\\n *", "", page.read_text())
    lines = re.findall(r"^ {4}(stn (?:fit|validate|test|predict) .*)$", text, re.MULTILINE)
    return [line.partition(" #")[0].rstrip() for line in lines if not any(word in line for word in NOT_HERE)]


def switches():
    """Those of a line of troubleshooting together."""
    lines = (ROOT / "docs" / "troubleshooting.md").read_text().splitlines()
    found = ([switch for switch in re.findall(r"`(--[^`]+)`", line) if "=" in switch] for line in lines)
    return sorted({" ".join(line) for line in found if line})


@pytest.fixture(scope="module")
def files(tmp_path_factory, stn_in):
    """A folder with the files that pages name: checkpoints of a short run, and what `stn export` makes of them."""
    folder = tmp_path_factory.mktemp("files")
    short = ["--trainer.max_steps=1", "--trainer.limit_val_batches=1", "--trainer.accelerator=cpu"]
    exports = [["--format", "onnx", "--output", "best.onnx"], ["--format", "torch", "--theta", "--output", "digits.pt2"]]
    kept = "runs/version_0/checkpoints/last.ckpt"
    for args in (["fit", "--model.transform=affine", *short], *(["export", kept, *options] for options in exports)):
        done = stn_in(folder, *args)
        assert done.code == 0, done.err
    for name in ("best.ckpt", "last.ckpt"):
        shutil.copy(folder / kept, folder / name)
    return folder


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page) and page != LAYER], ids=lambda page: page.name)
def test_python_of_a_page_runs(page, files, monkeypatch):
    """In one namespace; of each epoch that it trains, one step."""
    monkeypatch.chdir(files)
    for option, value in (("LIMIT_TRAIN_BATCHES", "1"), ("LIMIT_VAL_BATCHES", "1"), ("ACCELERATOR", "cpu")):
        monkeypatch.setenv(f"PL_TRAINER_{option}", value)
    names = {"__name__": page.stem}
    for line, source in examples(page):
        exec(compile("\n" * line + source, page, "exec"), names)


def test_layer_learns_in_a_plain_loop_without_lightning(tmp_path):
    ((_, source),) = examples(LAYER)
    script = tmp_path / "layer.py"
    script.write_text(f"{source}\nimport sys\n\nprint({{'lightning', 'jsonargparse'}} & set(sys.modules))\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    share, imported = re.fullmatch(r"(.*)% of 397 test digits are read wrong\n(.*)\n", done.stdout).groups()
    assert float(share) < 30  # of random answers: 90
    assert imported == "set()"


@pytest.mark.parametrize("command", sorted({command for page in PAGES for command in commands(page)}))
def test_command_is_understood(stn, command):
    words = shlex.split(re.sub(r"--ckpt_path \S+", "", command))[1:]
    done = stn(*(str(ROOT / word) if word.startswith("configs/") else word for word in words), "--print_config")
    assert done.code == 0, done.err


@pytest.mark.parametrize("line", switches())
def test_switches_of_troubleshooting_are_there(stn, line):
    done = stn("fit", "--model.transform=affine", *line.split(), "--print_config")
    assert done.code == 0, done.err
