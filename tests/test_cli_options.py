"""The options of ``stn``: short names, YAML, printed configs, help."""

import shutil
import subprocess
import sys
from importlib.metadata import version
from textwrap import dedent

import pytest
import yaml

import stn_lightning
from stn_lightning import localisations, samplers, transforms

INSTALLED = ", ".join(transforms.registry)
TPS = {"class_path": "stn_lightning.transforms.tps"}


def printed(done):
    assert done.code == 0, done.err
    return yaml.safe_load(done.out)


def transform(done):
    return printed(done)["model"]["init_args"]["transform"]


def write(folder, text):
    (folder / "given.yaml").write_text(dedent(text))
    return "--config=given.yaml"


def test_short_name_and_its_options_in_one_run(stn):
    done = stn(
        "fit", "--model.transform=tps", "--model.transform.grid_size=5", "--trainer.fast_dev_run=1", "--model.network=FCN"
    )
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    "options",
    [
        ["--model.transform=tps", "--model.transform.grid_size=5"],
        ["--model.transform", "tps", "--model.transform.init_args.grid_size", "5"],
        ["--model.transform.class_path=tps", "--model.transform.init_args.grid_size=5"],
        ["--model.transform=stn_lightning.transforms.tps", "--model.transform.grid_size=5"],
        ['--model.transform={"class_path": "tps", "init_args": {"grid_size": 5}}'],
        ["--model=Classification", "--model.transform=tps", "--model.transform.grid_size=5"],
    ],
    ids=range(6),
)
def test_ways_to_say_a_transform(stn, options):
    said = transform(stn("fit", *options, "--print_config"))
    assert said["class_path"] == "stn_lightning.transforms.tps"
    assert said["init_args"]["grid_size"] == 5


@pytest.mark.parametrize(
    "text",
    [
        "transform: {class_path: tps, init_args: {grid_size: 5}}",
        "transform: {class_path: stn_lightning.transforms.tps, init_args: {grid_size: 5}}",
    ],
)
def test_transform_in_yaml(stn, tmp_path, text):
    config = write(tmp_path, f"model: {{init_args: {{{text}}}}}")
    said = transform(stn("fit", config, "--print_config"))
    assert (said["class_path"], said["init_args"]["grid_size"]) == ("stn_lightning.transforms.tps", 5)


def test_name_alone_in_yaml(stn, tmp_path):
    config = write(tmp_path, "model: {init_args: {transform: tps, localisation: fc, sampler: bicubic}}")
    model = printed(stn("fit", config, "--print_config"))["model"]
    assert model["class_path"] == "stn_lightning.tasks.Classification"
    assert model["init_args"]["transform"]["class_path"] == "stn_lightning.transforms.tps"
    assert model["init_args"]["transform"]["init_args"]["grid_size"] == 4
    assert model["init_args"]["sampler"]["class_path"] == "stn_lightning.samplers.bicubic"
    assert model["init_args"]["sampler"]["init_args"]["padding_mode"] == "zeros"
    done = stn("fit", config, "--trainer.fast_dev_run=1", "--model.network=FCN", "--data.batch_size=8")
    assert done.code == 0, done.err


def test_defaults_are_classification_of_distorted_digits(stn):
    config = printed(stn("fit", "--print_config"))
    assert config["model"]["class_path"] == "stn_lightning.tasks.Classification"
    assert config["data"]["class_path"] == "stn_lightning.data.DistortedDigits"


ROUND_TRIPS = {
    "defaults": [],
    "full": [
        "--model.network=CNN",
        "--model.network.pool=2",
        "--model.transform=tps",
        "--model.transform.grid_size=[3,5]",
        "--model.localisation=conv",
        "--model.localisation.filters=8",
        "--model.sampler=nearest",
        "--model.sampler.padding_mode=border",
        "--model.optimizer=Adam",
        "--model.optimizer.lr=0.004",
        "--model.scheduler=OneCycleLR",
        "--model.scheduler.max_lr=0.004",
        "--data.distortion=RTS",
        "--trainer.callbacks=EarlyStopping",
        "--trainer.callbacks.monitor=val/error",
    ],
    "distortion": [
        '--data.distortion={"class_path": "stn_lightning.distortions.RandomRotation", "init_args": {"degrees": 30}}',
    ],
    "plateau": ["--model.scheduler=lightning.pytorch.cli.ReduceLROnPlateau", "--model.scheduler.monitor=val/error"],
}


@pytest.mark.parametrize("case", ROUND_TRIPS)
def test_printed_config_is_read_back_byte_for_byte(stn, tmp_path, case):
    first = stn("fit", *ROUND_TRIPS[case], "--print_config")
    assert first.code == 0, first.err
    (tmp_path / "printed.yaml").write_text(first.out)
    second = stn("fit", "--config=printed.yaml", "--print_config")
    assert second.code == 0, second.err
    assert second.out == first.out


@pytest.mark.parametrize("subcommand", ["fit", "validate", "test", "predict"])
def test_saved_config_of_a_run_is_read_by_every_command(stn, tmp_path, subcommand):
    options = ["--model.transform=tps", "--model.network=FCN", "--model.network.width=8", "--data.num_validation=50"]
    assert stn("fit", *options, "--trainer.max_epochs=1", "--trainer.limit_train_batches=1").code == 0
    run = tmp_path / "runs" / "version_0"
    shutil.copy(run / "config.yaml", tmp_path / "saved.yaml")
    checkpoint = [f"--ckpt_path={run / 'checkpoints' / 'best.ckpt'}"] if subcommand != "fit" else []
    done = stn(subcommand, "--config=saved.yaml", *checkpoint)
    assert done.code == 0, done.err


def test_help_of_a_plugin_shows_its_arguments_and_docstring(stn):
    for name in ("tps", "stn_lightning.transforms.tps"):
        done = stn("fit", "--model.transform.help", name)
        assert done.code == 0
        assert "grid_size" in done.out
        assert "control points per side" in done.out
        assert "regularisation" in done.out


@pytest.mark.parametrize("subcommand", ["fit", "validate", "test", "predict"])
def test_help_ends_with_what_is_installed(stn, subcommand):
    done = stn(subcommand, "--help")
    assert done.code == 0
    assert done.out.rstrip().splitlines()[-3:] == [
        f"installed transforms: {INSTALLED}",
        f"installed localisations: {', '.join(localisations.registry)}",
        f"installed samplers: {', '.join(samplers.registry)}",
    ]
    assert "--model.transform" in done.out or "--model" in done.out


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (
            ["--model.transform=tsp"],
            ["--model.transform", "'tsp'", "'tps'", INSTALLED],
        ),
        (
            ["--model.sampler=bilinaer", "--model.transform=tps"],
            ["--model.sampler", "'bilinear'", ", ".join(samplers.registry)],
        ),
        (
            ["--model.localisation=cnov", "--model.transform=tps"],
            ["--model.localisation", "'conv'", ", ".join(localisations.registry)],
        ),
        (["--model.transform=tps", "--model.transform.gridsize=3"], ["gridsize"]),
        (["--model.transform=tps", "--model.transform.grid_size=some"], ["grid_size", "some"]),
        (["--model.trasform=tps"], ["trasform"]),
        (["--data.distortion=RST"], ["distortion", "RST"]),
        (["--data.batch_size=many"], ["batch_size", "many"]),
        (["--model.transform=stn_lightning.transforms.tsp"], ["tsp", INSTALLED]),
        (["--model.transform=stn_lightning.no_such.Module"], ["--model.transform", "no_such"]),
        (["--config=missing.yaml"], ["missing.yaml"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) and value[0].startswith("--") else "",
)
def test_misspelt_option_is_one_line(stn, options, parts):
    done = stn("fit", *options)
    assert [part for part in parts if part not in done.message] == [], done.message


def test_misspelt_name_in_yaml_lists_what_is_installed(stn, tmp_path):
    for text in ("transform: tsp", "transform: {class_path: tsp}"):
        config = write(tmp_path, f"model: {{init_args: {{{text}}}}}")
        message = stn("fit", config).message
        assert "'tps'" in message
        assert INSTALLED in message


def test_version_is_told_without_torch():
    code = (
        "import sys; from stn_lightning.__main__ import main; main(['--version']);"
        "print(*({'torch', 'numpy', 'lightning', 'jsonargparse'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"stn {version('stn-lightning')}\n"
    assert done.stderr.split() == []
    assert stn_lightning.__version__ == version("stn-lightning")


def test_module_and_script_are_one_command(tmp_path):
    """Exit codes and streams of real processes."""
    from pathlib import Path

    script = Path(sys.executable).with_name("stn")
    for command in ([sys.executable, "-m", "stn_lightning"], [str(script)]):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (0, f"stn {version('stn-lightning')}\n")
    run = [sys.executable, "-m", "stn_lightning", "fit", "--model.transform=tsp"]
    refused = subprocess.run(run, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert refused.returncode != 0
    assert refused.stdout == ""
    (line,) = refused.stderr.strip().splitlines()
    assert line.startswith("stn")
    assert "did you mean 'tps'?" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("how", ["option", "config"])
def test_data_of_another_class_have_their_own_defaults(stn, tmp_path, how):
    """Not those of DistortedDigits for what both have."""
    (tmp_path / "birds.yaml").write_text("data: {class_path: Birds, init_args: {size: 64}}")
    args = ["--data=Birds", "--data.size=64"] if how == "option" else ["--config=birds.yaml"]
    options = printed(stn("fit", *args, "--print_config"))["data"]["init_args"]
    assert (options["batch_size"], options["size"]) == (32, 64)
    options = printed(stn("fit", *args, "--data.batch_size=8", "--print_config"))["data"]["init_args"]
    assert options["batch_size"] == 8
