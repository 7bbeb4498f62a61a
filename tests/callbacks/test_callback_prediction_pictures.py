"""The pictures that ``stn predict`` leaves, read back from their files."""

import csv
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image

from stn_lightning.callbacks import PredictionPictures, PredictionTable
from stn_lightning.callbacks._prediction_pictures import safe_stem
from stn_lightning.data import Named

SIDE, GAP, LINE = 216, 4, 20
CELL = SIDE + GAP
OPTIONS = ["--model.network=FCN", "--model.network.width=8", "--model.transform=affine", "--data.num_validation=50"]


def files(folder):
    return sorted(file.name for file in (folder / "pictures").iterdir()) if (folder / "pictures").exists() else []


def cell(picture, column):
    left = column * CELL + GAP // 2
    return picture[LINE + GAP // 2 : LINE + GAP // 2 + SIDE, left : left + SIDE]


@pytest.fixture
def predict(trainer, loader):
    """``predict`` of a task with a callback: ``predict(callback, task, batches)``."""
    return lambda callback, task, batches, **options: trainer(callback, **options).predict(task, loader(batches))


@pytest.fixture
def row(reader, window):
    return reader(input=window(scale=0.8), conv1=window(30, 0.9))


def test_a_picture_an_image_with_the_image_its_outlines_and_what_the_network_looks_at(row, numbers, predict, tmp_path):
    images, _ = numbers(4)
    batches = [Named(images[:3], ["7.png", "8.png", "9.png"]), Named(images[3:], ["10.png"])]
    predict(PredictionPictures(), row, batches)
    run = tmp_path / "version_0"
    assert files(run) == ["10.png", "7.png", "8.png", "9.png"]
    picture = np.asarray(Image.open(run / "pictures" / "8.png"))
    assert picture.shape == (LINE + CELL + LINE, 3 * CELL, 3)
    expected = torch.nn.functional.interpolate(images[1:2], size=(SIDE, SIDE), mode="nearest-exact")[0].permute(1, 2, 0) * 255
    assert np.abs(cell(picture, 0) - expected.numpy()).max() <= 0.5001
    near = {c: (np.abs(cell(picture, 1).astype(int) - c).max(-1) < 40).sum() for c in ((0, 190, 255), (255, 80, 40))}
    assert min(near.values()) > 200  # both outlines, each of hundreds of pixels
    assert (picture[:LINE] < 128).any()  # the title


def test_only_the_first_images_are_drawn_and_seen_again(row, numbers, predict, tmp_path):
    images, _ = numbers(6)
    seen = []
    row.network.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    predict(PredictionPictures(num_images=3), row, [images[:2], images[2:4], images[4:]])
    assert files(tmp_path / "version_0") == ["0.png", "1.png", "2.png"]
    assert seen == [2, 2, 2, 1, 2]


def test_predicting_once_more_draws_the_same_files(row, numbers, predict, tmp_path):
    images, _ = numbers(2)
    callback = PredictionPictures()
    for _ in range(2):
        predict(callback, row, [images])
    assert files(tmp_path / "version_0") == ["0.png", "1.png"]


def test_zero_draws_none(row, numbers, predict, tmp_path):
    predict(PredictionPictures(num_images=0), row, [numbers(2)[0]])
    assert files(tmp_path / "version_0") == []


def test_a_network_without_transformers_leaves_none_and_is_asked_once(reader, numbers, predict, tmp_path):
    task, (images, _) = reader(), numbers(4)
    seen = []
    task.network.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    predict(PredictionPictures(), task, [images[:2], images[2:]])
    assert files(tmp_path / "version_0") == []
    assert seen == [2, 2, 2]


@pytest.mark.parametrize(
    ("given", "stem"),
    [
        ("12.png", "12"),
        ("street/north/12.png", "12"),
        ("../../etc/passwd", "passwd"),
        ("a b:c*?.png", "a_b_c__"),
        ("..", ""),
        ("", ""),
        (".hidden", "hidden"),
        ("line\nbreak.jpg", "line_break"),
        ("bytes\udcff.png", "bytes_"),
        ("门牌.png", "门牌"),
        ("x" * 300 + ".png", "x" * 50),
        ("C:\\photos\\7.png", "C__photos_7"),
    ],
)
def test_names_are_safe(given, stem):
    assert safe_stem(given) == stem


def test_names_that_collide_or_are_odd_lose_no_picture(row, numbers, predict, tmp_path):
    names = ["a/1.png", "b/1.png", "1.jpg", "A.png", "a.png", "..", "1_2.png", "bad\udcff\n.png"]
    predict(PredictionPictures(side=32), row, [Named(numbers(8)[0], names)])
    assert files(tmp_path / "version_0") == sorted(
        ["1.png", "1_2.png", "1_3.png", "A.png", "a_2.png", "5.png", "1_2_2.png", "bad__.png"]
    )


def test_a_run_without_a_logger_leaves_them_in_its_root(row, numbers, predict, tmp_path):
    predict(PredictionPictures(num_images=1), row, [numbers(2)[0]], logger=False)
    assert files(tmp_path) == ["0.png"]


@pytest.mark.skipif(sys.platform != "linux", reason="ddp_fork needs fork")
def test_each_of_two_processes_draws_and_writes_its_own_of_the_first_images(tmp_path):
    """Process r has the images r, r + 2, r + 4, ...: of the first seven, four and three."""
    places = ["--trainer.strategy=ddp_fork", "--trainer.devices=2", "--trainer.accelerator=cpu", "--data.batch_size=2"]
    callback = ["--trainer.callbacks=stn_lightning.callbacks.PredictionPictures", "--trainer.callbacks.num_images=7"]
    command = [sys.executable, "-m", "stn_lightning", "predict", *OPTIONS, *places, *callback]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "version_0"
    for rank in range(2):
        expected = [f"{i}.png" for i in range(rank, 7, 2)]
        assert sorted(file.name for file in (run / f"pictures_{rank}").iterdir()) == expected
        with (run / f"predictions_{rank}.csv").open() as file:
            assert [int(line["image"]) for line in csv.DictReader(file)] == list(range(rank, 450, 2))


def test_a_picture_that_fails_leaves_no_part_of_it(row, numbers, predict, tmp_path, monkeypatch):
    def fail(self, stream, *args):
        stream.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="no space left"):
        predict(PredictionPictures(), row, [numbers(2)[0]])
    assert files(tmp_path / "version_0") == []


@pytest.mark.parametrize("options", [{"num_images": -1}, {"side": 0}])
def test_arguments_out_of_range(options):
    with pytest.raises(ValueError, match="at least"):
        PredictionPictures(**options)


def test_predict_draws_the_first_sixteen_unless_its_config_says_otherwise(stn, newest_run, tmp_path):
    done = stn("predict", *OPTIONS)
    assert done.code == 0, done.err
    run = newest_run(tmp_path / "runs")
    assert files(run) == sorted(f"{i}.png" for i in range(16))
    assert f"pictures: {run.relative_to(tmp_path) / 'pictures'}" in done.out
    callback = "--trainer.callbacks=stn_lightning.callbacks.PredictionPictures"
    done = stn("predict", *OPTIONS, callback, "--trainer.callbacks.num_images=0")
    assert done.code == 0, done.err
    assert "pictures" not in done.out
    assert files(newest_run(tmp_path / "runs")) == []
    assert (newest_run(tmp_path / "runs") / "predictions.csv").is_file()


def test_table_and_pictures_name_the_same_files(row, numbers, loader, tmp_path):
    names = ["b.png", "a.png"]
    silent = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = Trainer(callbacks=[PredictionPictures(), PredictionTable()], default_root_dir=tmp_path, **silent)
    trainer.predict(row, loader([Named(numbers(2)[0], names)]))
    lines = (tmp_path / "predictions.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["file", *names]
    assert files(tmp_path) == sorted(names)
