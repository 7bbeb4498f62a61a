"""Every config runs, with the sampler that it names and with bilinear."""

import os
from contextlib import chdir
from pathlib import Path

import pytest
from stn_lightning.cli import CLI

from stn_multisampling import Multisampling

CONFIGS = sorted((Path(__file__).parents[1] / "configs").rglob("*.yaml"))


@pytest.fixture(autouse=True)
def _without_a_global_seed():
    """A fit sets the seed of whatever follows in the process."""
    yield
    for name in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS"):
        os.environ.pop(name, None)


@pytest.mark.parametrize("sampler", [None, "bilinear"])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name)
def test_config_trains(tmp_path, config, sampler):
    options = ["--data.source=digits", "--data.batch_size=8", "--trainer.fast_dev_run=2"]
    with chdir(tmp_path):
        cli = CLI(["fit", f"--config={config}", *options, *([f"--model.sampler={sampler}"] if sampler else [])])
    assert isinstance(cli.model.network.transformers["input"].sampler, Multisampling) == (sampler is None)
