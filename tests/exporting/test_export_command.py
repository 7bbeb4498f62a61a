"""``stn export``: what it says, and every wrong use of it."""

import numpy as np
import pytest
import torch
from PIL import Image

from stn_lightning._commands import COMMANDS


@pytest.fixture
def photos(tmp_path):
    """A folder of three images of other sizes and modes than those of the task, and a text."""
    folder = tmp_path / "photos"
    folder.mkdir()
    draw = np.random.default_rng(0)
    Image.fromarray(draw.integers(0, 256, (30, 40, 3), np.uint8)).save(folder / "a.png")
    Image.fromarray(draw.integers(0, 256, (25, 21), np.uint8)).save(folder / "b.png")
    Image.fromarray(draw.integers(0, 256, (20, 20, 4), np.uint8), "RGBA").save(folder / "c.png")
    (folder / "d.txt").write_text("no image")
    return folder


@pytest.fixture
def export(stn, checkpoint, photos, tmp_path):
    """``stn export`` of the digits to ``it.pt2``, checked on the photos, unless said otherwise."""

    def export(*options, file=None, format="torch", inputs=(photos,)):
        given = ["--inputs", *inputs] if inputs else []
        return stn(
            "export", file or checkpoint("digits"), "--format", format, "--output", tmp_path / "it.pt2", *given, *options
        )

    return export


def test_all_commands_are_in_the_help(stn):
    done = stn("--help")
    assert done.code == 0
    assert all(f"stn {name}" in " ".join(done.out.split()) for name in COMMANDS)


def test_difference_and_outputs_are_said(export, photos, tmp_path):
    done = export("--theta")
    assert done.code == 0, done.err
    assert f"checked on 3 images of {photos}" in done.out
    assert "batches of 1 and 7: largest difference from the checkpoint" in done.out
    assert "images (batch, 1, 20, 22) -> prediction (batch, 3), theta.input (batch, 18)" in done.out
    assert (tmp_path / "it.pt2").is_file()


def test_validation_images_of_the_run_are_the_default(stn, tmp_path):
    fit = ["--model.network=FCN", "--model.network.width=8", "--trainer.enable_progress_bar=false", "--trainer.max_steps=1"]
    assert stn("fit", *fit, "--data.num_validation=50", "--trainer.limit_val_batches=1").code == 0
    file = tmp_path / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    done = stn("export", file, "--format=torch")
    assert done.code == 0, done.err
    assert "checked on 8 validation images of DistortedDigits, the data of the run" in done.out
    assert file.with_suffix(".pt2").is_file()


def test_file_above_the_tolerance_is_not_written(export, tmp_path):
    done = export("--tolerance=0", format="onnx")
    assert done.code == 1
    assert "more than the tolerance 0" in done.message
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_weights_that_are_nan_are_not_exported(export, checkpoint, tmp_path):
    kept = torch.load(checkpoint("digits"), weights_only=True)
    kept["state_dict"]["network.classifier.bias"][0] = float("nan")
    torch.save(kept, tmp_path / "nan.ckpt")
    assert "not finite (network.classifier.bias)" in export(file=tmp_path / "nan.ckpt").message
    assert not (tmp_path / "it.pt2").exists()


def test_no_images_to_check_on_is_an_error(export):
    assert "give --inputs" in export(inputs=()).message


def test_missing_or_damaged_image_is_named(export, photos, tmp_path):
    assert "nowhere" in export(inputs=[tmp_path / "nowhere"]).message
    (photos / "a.png").write_bytes(b"broken")
    assert "a.png" in export().message


@pytest.mark.parametrize("how", ["missing", "text", "other", "weights", "class"])
def test_wrong_checkpoint_is_named(export, checkpoint, tmp_path, how):
    file, kept = tmp_path / "wrong.ckpt", torch.load(checkpoint("digits"), weights_only=True)
    if how == "text":
        file.write_text("hello")
    if how == "other":  # of another LightningModule
        torch.save({"state_dict": {}, "hyper_parameters": {"lr": 0.1}}, file)
    if how == "weights":
        del kept["state_dict"]["network.classifier.bias"]
        torch.save(kept, file)
    if how == "class":
        kept["hyper_parameters"]["_class_path"] = "elsewhere.Net"
        torch.save(kept, file)
    done = export(file=file)
    words = {
        "missing": "no checkpoint",
        "other": "no checkpoint of stn",
        "weights": "classifier.bias",
        "class": "--allow-import",
    }
    assert done.code == 1
    assert "wrong.ckpt" in done.message or how == "class"
    assert words.get(how, "") in done.message
    assert not (tmp_path / "it.pt2").exists()


def test_class_of_an_opened_package_is_built(export, checkpoint, importable, tmp_path):
    (importable / "stn_mylab.py").write_text(
        "from stn_lightning.tasks import Classification\nclass Mine(Classification): ...\n"
    )
    kept = torch.load(checkpoint("digits"), weights_only=True)
    kept["hyper_parameters"]["_class_path"] = "stn_mylab.Mine"
    torch.save(kept, tmp_path / "mine.ckpt")
    assert "importing stn_mylab.Mine is not allowed" in export(file=tmp_path / "mine.ckpt").message
    assert export("--allow-import", "stn_mylab", file=tmp_path / "mine.ckpt").code == 0


def test_missing_folder_is_not_made(export, tmp_path):
    done = export("--output", tmp_path / "no" / "it.pt2")
    assert done.code == 1
    assert f"no folder {tmp_path / 'no'}" in done.message
    assert not (tmp_path / "no").exists()


def test_unknown_format_is_a_wrong_use(export):
    done = export(format="tflite")
    assert done.code == 2
    assert "tflite" in done.message
    assert "onnx" in done.message
