"""Every file under configs/ runs, and every command that a file shows names files that are there."""

import re
import shlex
from itertools import product
from pathlib import Path

import pytest
import torch
import yaml

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "configs"
FILES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml"))


FAMILIES = {
    "numbers": ("svhn", "number"),
    "birds": ("cub", "birds", "parts"),
    "sequences": ("clutter3",),
    "addition": ("addition",),
    "dimensions": ("volumes", "signals"),
    "colocalisation": ("coloc",),
}


def family(name):
    return next((family for family, parts in FAMILIES.items() if any(part in name for part in parts)), "mnist")


def of(folder, kind=None, part=""):
    """The files of a folder: of MNIST, house numbers or birds where a kind is given; with a part in their name."""
    names = [name for name in FILES if name.startswith(f"{folder}/") and part in name]
    return [name for name in names if kind in (None, family(name))]


def with_their_recipes(*parts):
    """The experiments that have a part in their name, each with every recipe that has it too."""
    return [pair for part in parts for pair in product(of("experiment", part=part), of("recipe", part=part))]


@pytest.fixture
def fit(stn, tiny_mnist):
    """``fit`` for two steps, on small MNIST files unless the config says digits."""

    def fit(*args, mnist=True, steps=2):
        data = [f"--data.root={tiny_mnist}", "--data.num_validation=16"] if mnist else []
        done = stn("fit", *args, *data, "--data.batch_size=8", f"--trainer.fast_dev_run={steps}", "--trainer.accelerator=cpu")
        assert done.code == 0, done.err
        return done

    return fit


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """Options of few house numbers, drawn once."""
    root = tmp_path_factory.mktemp("drawn")
    return [
        f"--data.root={root}",
        "--data.source=generated",
        "--data.extra=false",
        "--data.digits=digits",
        "--data.num_generated=[24,8]",
    ]


@pytest.fixture
def fit_numbers(fit, drawn):
    """``fit`` on few drawn house numbers."""
    return lambda *args: fit(*args, *drawn, "--data.num_validation=8", mnist=False, steps=1)


def config(name):
    return f"--config={CONFIGS / name}"


def test_every_file_is_used_here():
    folders = {name.split("/")[0] for name in FILES}
    files = {"birds.yaml", "house_numbers.yaml", "quickstart.yaml"}
    assert folders == {"data", "experiment", "model", "recipe", "table", "trainer", *files}


@pytest.mark.parametrize("recipe", of("recipe", "mnist"))
@pytest.mark.parametrize("experiment", of("experiment", "mnist"))
def test_experiment_with_recipe(fit, helpers, experiment, recipe):
    """Every network of an experiment has between 392,000 and 400,000 parameters."""
    done = fit(config(experiment), config(recipe), "--trainer.callbacks=stn_test_helpers.Count")
    (count,) = re.findall(r"parameters of the network: (\d+)", done.out)
    assert 392_000 <= int(count) <= 400_000


@pytest.mark.parametrize("transform", ["projective", "tps"])
@pytest.mark.parametrize("experiment", [name for name in of("experiment", "mnist") if "_st_" in name])
def test_experiment_with_another_transform(fit, helpers, experiment, transform):
    """With its own transform, affine, an experiment runs above: together every row of the paper's table."""
    recipe = config("recipe/short.yaml")
    done = fit(config(experiment), recipe, f"--model.transform={transform}", "--trainer.callbacks=stn_test_helpers.Count")
    (count,) = re.findall(r"parameters of the network: (\d+)", done.out)
    assert 392_000 <= int(count) <= 400_000


PLACEMENTS = {"cnn": (None, None), "st_single": ("affine", None), "st_multi": ("affine", ["input", "conv1", "conv2", "conv3"])}


@pytest.mark.parametrize("experiment", of("experiment", part="svhn"))
def test_house_number_experiment_is_the_papers(stn, experiment):
    """Its network is the full one, whose parameters tests/networks counts, with transformers where the paper has them."""
    done = stn("fit", config(experiment), "--print_config")
    assert done.code == 0, done.err
    written = yaml.safe_load(done.out)
    model = written["model"]["init_args"]
    assert model["network"]["init_args"] == {"width": 1.0, "dropout": 0.5}
    transform = model["transform"] and model["transform"]["class_path"].rpartition(".")[2]
    (side, name) = re.findall(r"svhn(\d+)_(\w+).yaml", experiment)[0]
    assert (transform, model["placements"]) == PLACEMENTS[name]
    assert model["localisation"] is model["localisations"] is None
    data = written["data"]["init_args"]
    assert (data["source"], data["side"], data["crop"]) == ("svhn", int(side), {"64": 54, "128": 108}[side])


@pytest.mark.parametrize(("experiment", "recipe"), with_their_recipes("svhn", "number"))
def test_house_number_experiment_with_recipe(fit_numbers, experiment, recipe):
    fit_numbers(config(experiment), config(recipe), "--model.network.width=0.05")


@pytest.fixture(scope="session")
def few_birds(tmp_path_factory):
    """Options of few small birds, drawn once, and of a small network: weights of ImageNet are not at hand."""
    root = tmp_path_factory.mktemp("birds")
    drawn = ["--data.source=generated", "--data.classes=2", "--data.images_per_class=[12,2]", "--data.side=40"]
    return [
        f"--data.root={root}",
        *drawn,
        "--data.resize=40",
        "--data.size=32",
        "--data.num_workers=0",
        "--data.num_validation=4",
    ]


@pytest.fixture
def fit_birds(fit, few_birds):
    """``fit`` on few drawn birds."""
    small = ["--model.backbone=small", "--model.weights=null", "--model.part_size=16"]
    return lambda *args: fit(*args, *few_birds, *small, mnist=False, steps=1)


BIRDS = {"cnn": (0, None), "2st": (2, 224), "4st": (4, 224)}


@pytest.mark.parametrize("experiment", of("experiment", part="cub"))
def test_cub_experiment_is_the_papers(stn, experiment):
    done = stn("fit", config(experiment), config("recipe/cub_paper.yaml"), "--print_config")
    assert done.code == 0, done.err
    written = yaml.safe_load(done.out)
    model, data = (written[part]["init_args"] for part in ("model", "data"))
    (side, name) = re.findall(r"cub(\d+)_(\w+).yaml", experiment)[0]
    assert (model["num_parts"], model["part_size"]) == BIRDS[name]
    assert (model["backbone"], model["weights"], model["dropout"]) == ("googlenet", "DEFAULT", 0.7)
    assert (model["transform"], model["window"], model["shared"]) == (None, 0.5, False)
    assert (data["source"], data["size"], data["resize"]) == ("cub", int(side), {"224": 256, "448": 512}[side])
    assert data["batch_size"] * written["trainer"]["accumulate_grad_batches"] == 256


@pytest.mark.parametrize(("experiment", "recipe"), with_their_recipes("cub", "birds"))
def test_birds_experiment_with_recipe(fit_birds, experiment, recipe):
    fit_birds(config(experiment), config(recipe))


@pytest.mark.parametrize("data", of("data", "birds"))
@pytest.mark.parametrize("model", of("model", "birds"))
def test_birds_data_and_model(fit_birds, data, model):
    fit_birds(f"--data={CONFIGS / data}", f"--model={CONFIGS / model}")


@pytest.mark.parametrize("data", of("data", part="cub"))
def test_cub_data_is_cub_as_written(stn, data):
    done = stn("fit", f"--data={CONFIGS / data}", "--model=PartsClassification", "--trainer.accelerator=cpu")
    assert "CUB_200_2011" in done.message


@pytest.mark.parametrize("model", of("model", "mnist"))
def test_model(fit, model):
    fit(f"--model={CONFIGS / model}", mnist=False)


@pytest.mark.parametrize("model", of("model", "numbers"))
def test_house_number_model(fit_numbers, model):
    fit_numbers("--data=HouseNumbers", f"--model={CONFIGS / model}", "--model.network.width=0.05")


@pytest.mark.parametrize("data", of("data", "mnist"))
def test_data(fit, data):
    fit(f"--data={CONFIGS / data}", "--model.network=FCN", mnist="mnist" in data)


@pytest.mark.parametrize("data", of("data", "numbers"))
def test_house_number_data(fit_numbers, data):
    model = ["--model=SequenceRecognition", "--model.network=HouseNumberNet", "--model.network.width=0.05"]
    fit_numbers(f"--data={CONFIGS / data}", *model)


@pytest.mark.parametrize("data", [name for name in of("data") if "svhn" in name])
def test_house_number_data_is_svhn_as_written(stn, data):
    options = yaml.safe_load((CONFIGS / data).read_text())["init_args"]
    assert (options["source"], options["extra"]) == ("svhn", True)
    done = stn("fit", f"--data={CONFIGS / data}", "--model=SequenceRecognition", "--trainer.accelerator=cpu")
    assert "no train/digitStruct.mat, extra/digitStruct.mat in" in done.message


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


@pytest.mark.parametrize("options", [[], ["--model.transform=null", "--model.localisation=null"]], ids=["st-cnn", "cnn"])
def test_house_numbers(fit_numbers, options):
    fit_numbers(config("house_numbers.yaml"), *options)


def test_birds(fit_birds):
    fit_birds(config("birds.yaml"))


@pytest.mark.parametrize("name", [*of("experiment"), *of("recipe"), *(name for name in FILES if "/" not in name)])
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
