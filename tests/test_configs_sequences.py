"""Every experiment on rows of digits in clutter runs with every recipe, and is what its table says."""

from pathlib import Path

import pytest
import yaml

CONFIGS = Path(__file__).parents[1] / "configs"
EXPERIMENTS = sorted(CONFIGS.glob("experiment/clutter3_*.yaml"))
RECIPES = sorted(CONFIGS.glob("recipe/clutter3_*.yaml"))


@pytest.fixture
def fit(stn, tiny_mnist):
    data = [f"--data.root={tiny_mnist}", "--data.num_validation=16", "--data.batch_size=2"]
    run = ["--trainer.fast_dev_run=1", "--trainer.accelerator=cpu"]

    def fit(*args):
        done = stn("fit", *args, *data, *run)
        assert done.code == 0, done.err

    return fit


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiment_with_recipe(fit, experiment, recipe):
    fit(f"--config={experiment}", f"--config={recipe}")


def test_data(fit):
    network = ["--model=SequenceRecognition", "--model.network=SequenceNet", "--model.network.filters=[4,4,4,4]"]
    fit(f"--data={CONFIGS}/data/mnist_clutter3.yaml", *network)


def test_every_experiment_is_a_row_of_the_table():
    table = yaml.safe_load((CONFIGS / "table" / "recurrent.yaml").read_text())
    cells = [cell for row in table["rows"].values() for cell in row.values()]
    assert sorted((CONFIGS / "table" / cell["experiment"]).resolve() for cell in cells) == EXPERIMENTS
    assert sorted((CONFIGS / "table" / recipe).resolve() for recipe in table["recipes"].values()) == RECIPES


NETS = {"cnn": None, "ffn": (1, 50), "ffn3": (3, 33), "rnn": (3, 33)}


@pytest.mark.parametrize("name", NETS)
def test_windows_are_those_of_the_authors_factors(stn, name):
    """One of half the image's side (FFN-SPN), three of a third (RNN-SPN): the defaults of the authors' code."""
    done = stn("fit", f"--config={CONFIGS}/experiment/clutter3_{name}.yaml", "--print_config")
    assert done.code == 0, done.err
    model = yaml.safe_load(done.out)["model"]["init_args"]
    size = model["output_size"]
    assert (size and (3 if model["per_position"] else 1, *set(size))) == NETS[name]
    assert (model["transform"] is None) == (name == "cnn")
    assert model["network"]["init_args"]["filters"] == {"cnn": [96] * 4, "ffn": [96] * 3}.get(name, [32] * 3)
    assert model["network"]["init_args"]["units"] == 400
