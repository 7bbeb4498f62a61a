"""Every file under configs/ runs, and every command that a file shows names files that are there."""

import re
import shlex
from pathlib import Path

import pytest
import torch
import yaml

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
FILES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml"))


def of(folder):
    return [name for name in FILES if name.startswith(f"{folder}/")]


@pytest.fixture
def fit(stn, tiny_mnist):
    """``fit`` for two steps, on small MNIST files unless the config says digits."""

    def fit(*args, mnist=True, steps=2):
        data = [f"--data.root={tiny_mnist}", "--data.num_validation=16"] if mnist else []
        done = stn("fit", *args, *data, "--data.batch_size=8", f"--trainer.fast_dev_run={steps}", "--trainer.accelerator=cpu")
        assert done.code == 0, done.err
        return done

    return fit


def config(name):
    return f"--config={CONFIGS / name}"


def test_every_file_is_used_here():
    folders = {name.split("/")[0] for name in FILES}
    assert folders == {"data", "experiment", "model", "quickstart.yaml", "recipe", "trainer"}


@pytest.mark.parametrize("recipe", of("recipe"))
@pytest.mark.parametrize("experiment", of("experiment"))
def test_experiment_with_recipe(fit, helpers, experiment, recipe):
    """Every network of an experiment has between 392,000 and 400,000 parameters."""
    done = fit(config(experiment), config(recipe), "--trainer.callbacks=stn_test_helpers.Count")
    (count,) = re.findall(r"parameters of the network: (\d+)", done.out)
    assert 392_000 <= int(count) <= 400_000


@pytest.mark.parametrize("transform", ["projective", "tps"])
@pytest.mark.parametrize("experiment", [name for name in of("experiment") if "_st_" in name])
def test_experiment_with_another_transform(fit, helpers, experiment, transform):
    """With its own transform, affine, an experiment runs above: together every row of the paper's table."""
    recipe = config("recipe/short.yaml")
    done = fit(config(experiment), recipe, f"--model.transform={transform}", "--trainer.callbacks=stn_test_helpers.Count")
    (count,) = re.findall(r"parameters of the network: (\d+)", done.out)
    assert 392_000 <= int(count) <= 400_000


@pytest.mark.parametrize("model", of("model"))
def test_model(fit, model):
    fit(f"--model={CONFIGS / model}", mnist=False)


@pytest.mark.parametrize("data", of("data"))
def test_data(fit, data):
    fit(f"--data={CONFIGS / data}", "--model.network=FCN", mnist="mnist" in data)


def for_one_process(name):
    """What needs a GPU or other processes is read only; test_two_processes runs the latter."""
    options = yaml.safe_load((CONFIGS / name).read_text())
    return options.get("accelerator", "cpu") == "cpu" and {"strategy", "num_nodes"}.isdisjoint(options)


@pytest.mark.parametrize("trainer", list(filter(for_one_process, of("trainer"))))
def test_trainer(fit, trainer):
    fit(f"--trainer={CONFIGS / trainer}", "--model.network=FCN", mnist=False)


@pytest.mark.parametrize("trainer", of("trainer"))
def test_trainer_is_read_as_it_is_written(stn, trainer):
    done = stn("fit", f"--trainer={CONFIGS / trainer}", "--print_config")
    assert done.code == 0, done.err
    written = yaml.safe_load((CONFIGS / trainer).read_text())
    read = yaml.safe_load(done.out)["trainer"]
    for key, value in written.items():
        if key != "callbacks":
            assert read[key] == value
        else:
            assert [c["class_path"].split(".")[-1] for c in read[key]] == [c["class_path"].split(".")[-1] for c in value]


@pytest.mark.parametrize("options", [[], ["--model.transform=null"]], ids=["st-cnn", "cnn"])
def test_quickstart(fit, options):
    fit(config("quickstart.yaml"), *options, mnist=False)


@pytest.mark.parametrize("name", FILES)
def test_file_begins_with_what_it_is(name):
    assert (CONFIGS / name).read_text().startswith("# ")


@pytest.mark.parametrize("name", [*of("experiment"), *of("recipe"), "quickstart.yaml"])
def test_command_in_the_comment_is_understood(stn, name):
    """As it stands in the file, bracketed options included; from the root of the repository."""
    comment = [line.lstrip("# ") for line in (CONFIGS / name).read_text().splitlines() if line.startswith("#")]
    commands = [line for line in comment if line.startswith("stn ")]
    assert commands
    for command in commands:
        _, *args = shlex.split(re.sub(r"[\[\]]", "", command))
        done = stn(*(str(ROOT / arg) if arg.startswith("configs/") else arg for arg in args), "--print_config")
        assert done.code == 0, done.err
        assert any(name in command for command in commands)


def test_early_stopping_stops_and_ema_averages(stn, tmp_path):
    options = ["--model.network=FCN", "--model.network.width=4", "--data.num_validation=50", "--trainer.limit_train_batches=1"]
    frozen = ["--model.optimizer=SGD", "--model.optimizer.lr=0", "--trainer.max_epochs=30"]
    stopped = stn(
        "fit", f"--trainer={CONFIGS}/trainer/early_stopping.yaml", *options, *frozen, "--trainer.default_root_dir=es"
    )
    assert stopped.code == 0, stopped.err
    rows = (tmp_path / "es" / "version_0" / "metrics.csv").read_text().splitlines()
    assert 10 <= max(int(row.split(",")[0]) for row in rows[1:] if row.split(",")[0]) < 15
    ema = ["--model.optimizer=SGD", "--model.optimizer.lr=1", "--trainer.max_epochs=1", "--trainer.default_root_dir=ema"]
    assert stn("fit", f"--trainer={CONFIGS}/trainer/ema.yaml", *options, *ema).code == 0
    (last,) = (tmp_path / "ema").rglob("last.ckpt")
    kept = torch.load(last, weights_only=True)
    average, live = kept["state_dict"], kept["current_model_state"]
    key = "network.classifier.weight"
    assert not torch.equal(average[key], live[key])
