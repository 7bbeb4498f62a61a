"""The experiments of MNIST addition, and the tables of it and of distorted MNIST, are the paper's."""

import re
from pathlib import Path

import pytest
import yaml

from stn_lightning.reproducing import read_table

CONFIGS = Path(__file__).parents[1] / "configs"
ADDITION = {
    "fcn": ("FCN", None, 1, 1),
    "cnn": ("CNN", None, 1, 1),
    "st_fcn": ("FCN", "affine", 1, 2),
    "2st_fcn": ("FCN", "affine", 2, 2),
}


@pytest.mark.parametrize("name", ADDITION)
def test_addition_experiment_is_the_papers(stn, name):
    done = stn("fit", f"--config={CONFIGS}/experiment/addition_{name}.yaml", "--print_config")
    assert done.code == 0, done.err
    written = yaml.safe_load(done.out)
    model, data = (written[part]["init_args"] for part in ("model", "data"))
    network, transform = (model[part] and model[part]["class_path"].rpartition(".")[2] for part in ("network", "transform"))
    assert (network, transform, model["heads"], model["network"]["init_args"]["pool"]) == ADDITION[name]
    assert (model["localisation"], model["output_size"]) == (None, None)
    assert written["data"]["class_path"].endswith(".DigitSums")
    assert (data["source"], data["distortion"], data["evaluation_distortion"]) == ("mnist", "RTS", None)


TABLE = read_table("addition")


@pytest.mark.parametrize("recipe", TABLE.recipes)
@pytest.mark.parametrize("row", TABLE.rows)
def test_addition_experiment_with_recipe(stn, tiny_mnist, helpers, row, recipe):
    """Every network has between 392,000 and 400,000 parameters."""
    (cell,) = (cell for cell in TABLE.cells if cell.row == row)
    options = [f"--{name}={value}" for name, value in cell.options.items()]
    files = [f"--config={file.absolute()}" for file in (cell.experiment, TABLE.recipes[recipe])]
    data = [f"--data.root={tiny_mnist}", "--data.num_validation=16", "--data.batch_size=8"]
    trainer = ["--trainer.fast_dev_run=2", "--trainer.accelerator=cpu", "--trainer.callbacks=stn_test_helpers.Count"]
    done = stn("fit", *files, *options, *data, *trainer)
    assert done.code == 0, done.err
    (count,) = re.findall(r"parameters of the network: (\d+)", done.out)
    assert 392_000 <= int(count) <= 400_000


@pytest.mark.parametrize("table", ["addition", "augmentation", "mnist"])
def test_cell_of_a_table_is_of_its_row_and_column(table):
    transforms = {"Aff": "affine", "Proj": "projective", "TPS": "tps"}
    for row, column, experiment, options, _ in read_table(table).cells:
        name, _, extra = row.partition(", ")
        network, _, transform = name.partition(" ")
        data = "addition" if column == "error" else column.lower()
        assert experiment.stem == f"{data}_{network.lower().replace('2xst', '2st').replace('-', '_')}"
        expected = {"model.transform": transforms[transform]} if transform else {}
        if extra == "batch norm":
            expected["model.network.batch_norm"] = True
            expected |= {"model.localisation": "conv", "model.localisation.batch_norm": True} if transform else {}
        assert options == expected
