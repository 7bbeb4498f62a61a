"""Bad input: one line with the cause, an exit code, no traceback, and nothing half-written that looks like a run."""

import shutil

import numpy as np
import pytest

FCN = ["--model.network=FCN", "--model.network.width=8"]
MNIST = ["--data.source=mnist", "--data.num_validation=16", "--data.batch_size=8", "--trainer.fast_dev_run=1", *FCN]


@pytest.fixture
def root(tiny_mnist, tmp_path):
    return shutil.copytree(tiny_mnist, tmp_path / "data")


def test_missing_data_says_where_and_how(stn, tmp_path):
    message = stn("fit", *MNIST).message
    assert str(tmp_path / "data" / "MNIST" / "raw") in message
    assert "--data.download=true" in message


def test_truncated_data_names_the_file(stn, root):
    file = root / "MNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    message = stn("fit", *MNIST).message
    assert str(file) in message
    assert "truncated" in message


def test_wrong_image_size_names_the_file(stn, root, write_idx):
    file = root / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    write_idx(file, np.zeros((25, 20, 20)))
    message = stn("fit", *MNIST).message
    assert str(file) in message
    assert "28x28 pixels, got (20, 20)" in message


def test_download_without_a_network(stn, monkeypatch):
    """A proxy that refuses: the same on every machine."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    message = stn("fit", *MNIST, "--data.download=true").message
    assert "train-images" in message


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--data.batch_size=2000"], "at least 2000 training images"),
        (["--data.num_validation=2000"], "num_validation above 0 and below 1347"),
        (["--data.batch_size=0"], "batch_size of at least 1"),
        (["--model.initial=[1,0]", "--model.transform=affine"], "initial with 6 numbers"),
        (["--model.sampler=nearest"], "expected a transform with sampler"),
        (["--model.network.parameters=100"], "budget of at least"),
        (["--model.localisation_lr_scale=-1"], "localisation_lr_scale of at least 0"),
        (["--model.label_smoothing=2"], "label_smoothing"),
        (["--model.transform=tps", "--model.transform.grid_size=1"], "grid_size of at least 2"),
        (["--model.transform=affine", "--model.transform.learn_basis=true"], "basis_size"),
        (["--trainer.accelerator=gpuu"], "gpuu"),
        (["--trainer.max_epochs=-3"], "max_epochs"),
        (["--trainer.devices=0"], "devices"),
        (["--trainer.devices={a: [1]}"], "devices"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_argument_out_of_range(stn, options, text):
    message = stn("fit", "--model.network=FCN", "--trainer.limit_train_batches=1", "--trainer.max_epochs=1", *options).message
    assert text in message


@pytest.mark.parametrize(
    ("option", "possible"),
    [
        ("--data=Digits", "DistortedDigits"),
        ("--model=Classify", "Classification"),
        ("--model.network=CNNN", "CNN"),
        ("--data.distortion=RTSS", "RandomPlacement"),
        ("--model.penalties+=Overlaps", "Overlap"),
        ("--trainer.callbacks=BestAndLas", "BestAndLast"),
    ],
)
def test_unknown_class_names_those_that_are_possible(stn, option, possible):
    done = stn("fit", option)
    assert done.code == 2
    name, value = option.split("=")
    assert f"{name.removesuffix('+')}: no class {value!r}; possible: " in done.err
    assert possible in done.err
    assert "Distortion," not in done.err, "an abstract class"


def test_image_too_small_for_the_network(stn):
    place = '--data.distortion={"class_path": "stn_lightning.distortions.RandomPlacement", "init_args": {"size": 12}}'
    assert "too small" in stn("fit", "--model.network=CNN", place).message


def test_traceback_on_request(stn, monkeypatch):
    monkeypatch.setenv("STN_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError, match="no MNIST"):
        stn("fit", *MNIST)


def test_bug_keeps_its_traceback(stn, importable):
    """What no user can mend is not swallowed."""
    (importable / "stn_test_bug.py").write_text(
        "from lightning.pytorch import Callback\n"
        "class Bug(Callback):\n"
        "    def on_fit_start(self, trainer, pl_module):\n"
        "        raise ZeroDivisionError('a bug')\n"
    )
    with pytest.raises(ZeroDivisionError, match="a bug"):
        stn("fit", *FCN, "--trainer.fast_dev_run=1", "--allow-import=stn_test_bug", "--trainer.callbacks=stn_test_bug.Bug")
