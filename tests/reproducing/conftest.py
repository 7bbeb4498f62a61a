"""A small table of real experiments, and finished runs of it that were never run."""

import json
from pathlib import Path

import pytest

TABLE = """
    # three cells
    title: Tiny
    source: A paper
    metric: test/error
    best: lowest
    recipes: {fast: recipe.yaml, slow: recipe.yaml}
    rows:
      CNN:
        plain: {experiment: experiment.yaml, options: {model.transform: null}, paper: 1.2}
      ST-CNN affine:
        plain: {experiment: experiment.yaml, paper: 0.7}
        rotated: {experiment: experiment.yaml, options: {data.distortion: R, model.heads: 1}}
"""
EXPERIMENT = """
    model:
      class_path: stn_lightning.tasks.Classification
      init_args:
        network: {class_path: FCN, init_args: {width: 4}}
        transform: affine
    data:
      class_path: stn_lightning.data.DistortedDigits
      init_args: {source: digits, distortion: none, batch_size: 256}
"""
RECIPE = "trainer: {max_epochs: 40, accelerator: cpu}\n"


def write(folder, table=TABLE):
    for name, text in (("tiny.yaml", table), ("experiment.yaml", EXPERIMENT), ("recipe.yaml", RECIPE)):
        (folder / name).write_text(text)
    return folder / "tiny.yaml"


@pytest.fixture(scope="session")
def write_table():
    """Writes the table and what it names into a folder: ``write_table(folder, text)`` gives the file."""
    return write


@pytest.fixture
def table(tmp_path, monkeypatch):
    """The table, in the current folder."""
    from stn_lightning.reproducing import read_table

    monkeypatch.chdir(tmp_path)
    return read_table(str(write(tmp_path)))


@pytest.fixture
def line():
    """A finished run: ``line(job, error, ...)``."""

    def line(job, error, **other):
        numbers = {"validation": {}, "best_epoch": 3, "parameters": 1234, "steps": 50, "seconds": 61.0, "device": "1 x cpu"}
        code = {"commit": "0123456789", "dirty": False, "versions": {"torch": "2"}, "threads": 1, "config": {}}
        made = {**job.key, "metric": job.metric, "test": {job.metric: error}, **numbers, **code, **other}
        return json.loads(json.dumps(made))

    return line


@pytest.fixture
def jobs(table):
    """The runs of two seeds: three cells of the one, then of the other."""
    from stn_lightning.reproducing import plan

    return plan(table, [], 2, None, [], Path("out"))
