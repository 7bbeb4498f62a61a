"""The experiments of co-localisation run with their recipe, from the fit to pictures, and are what their table says."""

import csv
from pathlib import Path

import pytest
import yaml

from stn_lightning.reproducing import read_table

CONFIGS = Path(__file__).parents[1] / "configs"
EXPERIMENTS = sorted(CONFIGS.glob("experiment/colocalisation_*.yaml"))
RECIPE = CONFIGS / "recipe" / "colocalisation_fast.yaml"
CPU = "--trainer.accelerator=cpu"
FEW = ["--data.num_images=2", "--data.batch_size=2"]


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiment_with_recipe(stn, tiny_mnist, experiment):
    options = [f"--data.root={tiny_mnist}", *FEW, "--trainer.fast_dev_run=1", CPU]
    done = stn("fit", f"--config={experiment}", f"--config={RECIPE}", *options)
    assert done.code == 0, done.err
    assert "encoder: trained on 96 digits, 3 times" in done.out


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiment_is_the_papers(stn, experiment):
    done = stn("fit", f"--config={experiment}", "--print_config")
    assert done.code == 0, done.err
    model, data = (yaml.safe_load(done.out)[part]["init_args"] for part in ("model", "data"))
    assert (model["encoder"], model["transform"], model["margin"]) == (None, None, 1.0)
    net = model["localisation"]["init_args"]["localisation"]
    if not experiment.stem.endswith("soft_argmax"):
        assert net["init_args"] == {"filters": 8, "stride": 1, "padding": 4, "units": [8, 8]}
    assert (data["source"], data["patches"]) == ("mnist", 16 if "_tc" in experiment.stem else 0)
    assert (data["num_images"], data["size"]) == (None, 84)


def test_fit_test_predict_and_show(stn, tmp_path, newest_run):
    """With the embedded digits, which are at hand; 2 steps find nothing yet."""
    options = [f"--config={EXPERIMENTS[0]}", "--data.source=digits", "--data.num_images=5", "--data.batch_size=5", CPU]
    quiet = "--trainer.enable_progress_bar=false"
    fit = stn("fit", *options, "--trainer.max_epochs=2", "--model.encoder_epochs=1", quiet)
    assert fit.code == 0, fit.err
    run = newest_run(tmp_path / "runs" / "colocalisation_t")
    best = run / "checkpoints" / "best.ckpt"
    test = stn("test", *options, f"--ckpt_path={best}", quiet)
    assert test.code == 0, test.err
    assert "test/correct" in test.out
    predict = stn("predict", *options, f"--ckpt_path={best}", quiet)
    assert predict.code == 0, predict.err
    (table,) = tmp_path.rglob("predictions.csv")
    rows = list(csv.DictReader(table.open()))
    assert list(rows[0]) == ["image", "left", "top", "right", "bottom", "confidence"]
    assert len(rows) == 5
    assert all(0 <= float(row["right"]) - float(row["left"]) <= 84 for row in rows)
    show = stn("show", best, "--count=2")
    assert show.code == 0, show.err
    assert {path.name for path in (run / "show" / "best").iterdir()} == {"sheet.png", "pictures", "evolution_input.gif"}


STRIDE = {"model.localisation.localisation.stride": 4, "model.localisation.localisation.padding": 0}
ROWS = {"": ("", {}), ", stride of 4": ("", STRIDE), ", soft arg-max": ("_soft_argmax", {})}


@pytest.mark.parametrize("kind", ROWS, ids=["paper", "stride", "soft_argmax"])
def test_cells_are_of_their_row_and_column(kind):
    name, options = ROWS[kind]
    cells = [cell for cell in read_table("colocalisation").cells if cell.row in (f"T{kind}", f"TC{kind}")]
    assert len(cells) == 20
    for cell in cells:
        assert cell.experiment.stem == f"colocalisation_{cell.row.partition(',')[0].lower()}{name}"
        assert cell.options == {"data.digit": int(cell.column)} | options
        assert (cell.paper is None) == (options == STRIDE)
