"""House numbers from the command line: from drawing them to a table of what was read."""

import csv
import os
import re
import subprocess
import sys

import pytest
import torch
from PIL import Image

from stn_lightning.data import HouseNumbers
from stn_lightning.tasks import SequenceRecognition

MULTI = "--model.placements=[input,conv1,conv2,conv3]"
MODEL = [
    "--model=SequenceRecognition",
    "--model.network=HouseNumberNet",
    "--model.network.width=0.05",
    "--model.transform=affine",
    MULTI,
]
DATA = [
    "--data=HouseNumbers",
    "--data.num_generated=[67,20]",
    "--data.num_validation=51",
    "--data.batch_size=8",
]
QUIET = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.log_every_n_steps=1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, stn_in):
    """A folder with a run of one epoch."""
    folder = tmp_path_factory.mktemp("numbers")
    done = stn_in(folder, "fit", *DATA, *MODEL, *QUIET, "--trainer.max_epochs=1", "--seed_everything=3")
    assert done.code == 0, done.err
    return folder


def run_of(folder, name):
    """The folder of the run that wrote a file, and the file's rows."""
    (file,) = folder.glob(f"runs/*/{name}")
    with file.open(newline="") as stream:
        return file.parent, list(csv.DictReader(stream))


def test_run_logs_every_metric(folder):
    _, rows = run_of(folder, "metrics.csv")
    names = {name for row in rows for name, value in row.items() if value}
    expected = {"train/loss", "train/error", "val/loss", "val/error", "val/coverage_98", "val/error_length_2"}
    assert expected | {f"val/error_position_{i}" for i in range(1, 6)} <= names


def test_learning_rate_of_the_localisation_nets_is_a_tenth(folder):
    _, rows = run_of(folder, "metrics.csv")
    rates = {(row["lr-Adam/localisation"], row["lr-Adam/network"]) for row in rows if row["lr-Adam/network"]}
    assert {(float(slow), float(fast)) for slow, fast in rates} == {(1e-4, 1e-3)}


def test_folder_of_photographs_is_read(folder, stn_in):
    photos = folder / "photos"
    photos.mkdir()
    names = ["b 1.png", "a.jpg", "grey.png"]
    for i, name in enumerate(names):
        Image.new("L" if name == "grey.png" else "RGB", (40 + 10 * i, 30), 60 * (i + 1)).save(photos / name)
    done = stn_in(folder, "predict", *DATA, "--data.images=photos", "--ckpt_path=best", *QUIET)
    assert done.code == 0, done.err
    run, rows = run_of(folder, "predictions.csv")
    assert list(rows[0]) == ["file", "number", "confidence"]
    assert [row["file"] for row in rows] == sorted(names)
    assert all(0 < float(row["confidence"]) <= 1 and (row["number"] + "0").isdigit() for row in rows)
    pictures = sorted(file.name for file in (run / "pictures").iterdir())
    assert len(pictures) == 3
    with Image.open(run / "pictures" / pictures[0]) as picture:
        assert picture.width > picture.height > 100


def test_checkpoint_is_of_data_of_one_length(folder, stn_in):
    done = stn_in(folder, "test", *DATA, "--data.max_length=3", "--ckpt_path=best", *QUIET)
    assert "is of data with max_length 5; this data has max_length 3" in done.message


def test_what_the_command_line_does_not_say_is_no_contradiction(folder, stn_in):
    """The defaults compared with are those of the class that is named, not of the default class."""
    same = stn_in(folder, "test", *DATA, "--model=SequenceRecognition", "--ckpt_path=best", *QUIET)
    assert same.code == 0, same.err
    other = stn_in(folder, "test", *DATA, "--model=SequenceRecognition", "--model.transform=tps", "--ckpt_path=best", *QUIET)
    assert "model.transform=affine (asked: tps)" in other.message


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--model=SequenceRecognition"], "give --data=HouseNumbers"),
        ([*DATA, "--model=Classification"], "sequences are for --model=SequenceRecognition"),
        ([*DATA, *MODEL, "--model.placements=[input,conv11]"], "placements among input, conv1, .*; got conv11"),
        ([*DATA, *MODEL, "--model.transform=afine"], "did you mean 'affine'"),
        ([*DATA, *MODEL, "--data.crop=70"], "crop=70, side=64"),
        ([*DATA, *MODEL, "--data.images=nowhere"], "nowhere"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistakes_end_in_one_line(folder, stn_in, args, text):
    command = "predict" if any("images" in arg for arg in args) else "fit"
    done = stn_in(folder, command, *args, *QUIET, "--trainer.fast_dev_run=1")
    assert re.search(text, done.message)


@pytest.mark.skipif(sys.platform != "linux", reason="ddp_fork needs fork")
def test_two_processes_measure_the_whole_set(folder):
    """51 images on two processes: each is counted once, coverage and lengths too."""
    options = ["--trainer.strategy=ddp_fork", "--trainer.devices=2", "--ckpt_path=best"]
    command = [sys.executable, "-m", "stn_lightning", "validate", *DATA, *QUIET, *options, "--trainer.default_root_dir=runs"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    table = dict(line.split() for line in done.stdout.splitlines() if line.split()[:1] and line.split()[0].startswith("val/"))
    data = HouseNumbers(root=str(folder / "data"), num_generated=(67, 20), num_validation=51, batch_size=8)
    data.setup("validate")
    (best,) = folder.glob("runs/version_0/checkpoints/best.ckpt")
    task = SequenceRecognition.load_from_checkpoint(best).eval()
    metrics = task.metrics["val"]
    with torch.no_grad():
        for batch in data.val_dataloader():
            task.validation_step(data.on_after_batch_transfer(batch, 0), 0)
    expected = {"loss": metrics["loss"].compute(), "coverage_98": metrics["coverage"].compute(), **metrics["errors"].compute()}
    assert int(metrics["errors"].seen.sum()) == 51
    assert set(table) == {f"val/{name}" for name in expected}
    for name, value in expected.items():
        assert float(table[f"val/{name}"]) == pytest.approx(float(value), abs=1e-5), name


def test_contradiction_of_several_transforms_is_told_in_words(tmp_path, stn_in):
    """A checkpoint with a transform for each placement has no `None`."""
    parts = ["--model=SequenceRecognition", "--model.network=HouseNumberNet", "--model.network.width=0.05"]
    (tmp_path / "model.yaml").write_text(
        "class_path: SequenceRecognition\ninit_args:\n  network: {class_path: HouseNumberNet, init_args: {width: 0.05}}\n"
        "  transform: {input: affine, conv2: similarity}\n"
    )
    done = stn_in(tmp_path, "fit", *DATA, "--model=model.yaml", *QUIET, "--trainer.max_steps=1")
    assert done.code == 0, done.err
    asked = stn_in(tmp_path, "test", *DATA, *parts, "--model.transform=affine", "--ckpt_path=last", *QUIET)
    assert "model.transform=parts for input, conv2 (asked: affine)" in asked.message


def test_files_that_are_no_images_are_counted(folder, stn_in, caplog):
    photos = folder / "mixed"
    photos.mkdir()
    Image.new("RGB", (20, 20)).save(photos / "a.png")
    Image.new("RGB", (20, 20)).save(photos / "b.gif")
    with caplog.at_level("INFO"):
        done = stn_in(folder, "predict", *DATA, "--data.images=mixed", "--ckpt_path=best", *QUIET)
    assert done.code == 0, done.err
    assert "1 of 2 in mixed left out, such as b.gif" in caplog.text + done.err
