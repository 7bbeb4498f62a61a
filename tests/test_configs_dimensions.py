"""The configs of volumes and signals run, with their recipes, and what they leave can be shown and exported."""

import re
from itertools import product
from pathlib import Path

import pytest
from PIL import Image

CONFIGS = Path(__file__).parents[1] / "configs"
PARTS = ("volumes", "signals")
RUNS = [
    pair
    for part in PARTS
    for pair in product(*(sorted(p.name for p in (CONFIGS / kind).glob(f"{part}_*")) for kind in ("experiment", "recipe")))
]
QUIET = ("--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false")


def small(part, root):
    """Options of a set that is small enough for a test."""
    if part == "signals":
        return ["--data.num_training=64", "--data.num_evaluated=16", "--data.batch_size=16"]
    return ["--data.side=28", f"--data.root={root}", "--data.num_validation=8", "--data.batch_size=8"]


def files(experiment, recipe):
    return [f"--config={CONFIGS / 'experiment' / experiment}", f"--config={CONFIGS / 'recipe' / recipe}"]


@pytest.mark.parametrize(("experiment", "recipe"), RUNS)
def test_dimensions_experiment_with_recipe(stn, tiny_mnist, experiment, recipe):
    done = stn("fit", *files(experiment, recipe), *small(experiment[:7], tiny_mnist), *QUIET, "--trainer.fast_dev_run=1")
    assert done.code == 0, done.err


@pytest.mark.parametrize("experiment", ["volumes", "signals"])
def test_network_with_and_without_transformer_have_as_many_parameters(stn, tiny_mnist, tmp_path, helpers, experiment):
    counts = []
    for name in (f"{experiment}_cnn.yaml", f"{experiment}_st_cnn.yaml"):
        options = [*small(experiment, tiny_mnist), *QUIET, "--trainer.fast_dev_run=1"]
        done = stn("fit", *files(name, f"{experiment}_short.yaml"), *options, "--trainer.callbacks=stn_test_helpers.Count")
        counts += map(int, re.findall(r"parameters of the network: (\d+)", done.out))
    assert len(counts) == 2
    assert abs(counts[0] - counts[1]) < 0.02 * counts[0]


@pytest.fixture(scope="module", params=PARTS)
def trained(request, tmp_path_factory, stn_in, tiny_mnist):
    """A run of two steps with all callbacks and penalties, and its checkpoint."""
    folder = tmp_path_factory.mktemp(request.param)
    penalties = [f"--model.penalties+={name}" for name in ("Area", "Outside", "Identity")]
    done = stn_in(
        folder, "fit", *files(f"{request.param}_st_cnn.yaml", f"{request.param}_short.yaml"),
        *small(request.param, tiny_mnist), *QUIET, *penalties, "--model.initial=0.9", "--trainer.max_epochs=2",
        "--trainer.max_steps=-1", "--trainer.limit_train_batches=2", "--trainer.log_every_n_steps=1",
        "--trainer.default_root_dir=runs", "--model.scheduler=null",
    )  # fmt: skip
    assert done.code == 0, done.err
    return folder, request.param


CHECKPOINT = "runs/version_0/checkpoints/best.ckpt"


def test_pictures_and_health_of_other_dimensions_are_in_tensorboard(trained):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder, part = trained
    tags = EventAccumulator(str(folder / "runs/version_0")).Reload().Tags()
    assert {"warp/input", "hardest/input"} <= set(tags["images"])
    axes = {"volumes": "xyz", "signals": "x"}[part]
    expected = {"warp_input/scale", *(f"warp_input/shift_{axis}_pixels" for axis in axes)}
    found = {tag for tag in tags["histograms"] if tag.startswith("warp_input/")}
    assert found == expected | ({"warp_input/angle_degrees"} if part == "volumes" else set())
    assert {f"health_input/{name}" for name in ("outside", "area", "condition", "folds")} <= set(tags["scalars"])


def test_other_dimensions_are_shown(trained, stn_in):
    folder, _ = trained
    done = stn_in(folder, "show", CHECKPOINT, "--count=2")
    assert done.code == 0, done.err
    shown = folder / "runs/version_0/show/best"
    for file in (shown / "sheet.png", *(shown / "pictures").iterdir()):
        with Image.open(file) as image:
            image.load()
    assert "squares of 1 or 3 channels" in stn_in(folder, "show", CHECKPOINT, f"--images={folder}").message


@pytest.mark.parametrize("format", ["torch", "onnx"])
def test_other_dimensions_are_exported(trained, stn_in, format):
    folder, _ = trained
    done = stn_in(folder, "export", CHECKPOINT, "--format", format, "--output", f"task.{format}")
    assert done.code == 0, done.err
    assert (folder / f"task.{format}").stat().st_size > 0


def test_other_dimensions_are_predicted(trained, stn_in):
    folder, _ = trained
    run = folder / "runs/version_0"
    done = stn_in(folder, "predict", f"--config={run / 'config.yaml'}", f"--ckpt_path={folder / CHECKPOINT}", *QUIET)
    assert done.code == 0, done.err
    assert list(folder.rglob("predictions.csv"))
    assert list(folder.rglob("crops/*.png"))


def test_table_names_files_that_are_there():
    import yaml

    for part in PARTS:
        file = CONFIGS / "table" / f"{part}.yaml"
        table = yaml.safe_load(file.read_text())
        cells = [cell["experiment"] for row in table["rows"].values() for cell in row.values()]
        assert all((file.parent / path).is_file() for path in [*cells, *table["recipes"].values()])
        assert len(cells) == 2
