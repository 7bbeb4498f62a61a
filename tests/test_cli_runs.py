"""What a run keeps and leaves alone, and what is said of a constructor's argument."""

import hashlib

import pytest
import torch

SMALL = ("--model.network=FCN", "--model.network.width=8", "--data.batch_size=128", "--trainer.accelerator=cpu")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model.transform=tps", "--model.transform.grid_size=1"], "expected grid_size of at least 2"),
        (["--model.transform=affine", "--model.initial=[1,0,0]"], "expected initial with 6 numbers"),
        (["--model.transform=affine", "--model.transform.learn_basis=true"], "expected basis_size with learn_basis"),
        (["--model.label_smoothing=1.5"], "expected label_smoothing in [0, 1)"),
    ],
)
def test_a_constructors_error_is_one_short_line(stn, options, words):
    done = stn("fit", *SMALL, *options)
    assert done.code != 0
    (line,) = [line for line in done.err.splitlines() if "error:" in line]
    assert words in line
    assert "Namespace" not in line
    assert len(line) < 250


def digest(folder):
    return {file: hashlib.md5(file.read_bytes()).hexdigest() for file in folder.rglob("*.ckpt")}


def test_runs_without_a_logger_do_not_overwrite_each_other(stn, tmp_path):
    options = [*SMALL, f"--trainer.default_root_dir={tmp_path}", "--trainer.logger=false", "--trainer.max_epochs=1"]
    assert stn("fit", *options).code == 0
    first = digest(tmp_path)
    assert {file.name for file in first} == {"best.ckpt", "last.ckpt"}
    assert stn("fit", *options).code == 0
    assert first.items() < digest(tmp_path).items()
    assert stn("validate", *SMALL, f"--trainer.default_root_dir={tmp_path}", "--ckpt_path=last").code == 0


def test_best_holds_the_weights_that_were_validated(stn, tmp_path):
    """Validation in the middle of an epoch: the step of the checkpoint is one at which a validation ended."""
    options = [f"--trainer.default_root_dir={tmp_path}", "--trainer.max_epochs=2", "--trainer.val_check_interval=4"]
    done = stn("fit", *SMALL, *options, "--data.batch_size=114")  # 10 steps an epoch
    assert done.code == 0, done.err
    best = torch.load(tmp_path / "version_0" / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["global_step"] in (4, 8, 14, 18)


def test_a_config_of_callbacks_keeps_the_usual_ones(stn, tmp_path):
    options = [f"--trainer.default_root_dir={tmp_path}", "--trainer.max_epochs=1"]
    early = "--trainer.callbacks=[{class_path: lightning.pytorch.callbacks.EarlyStopping, init_args: {monitor: val/error}}]"
    done = stn("fit", *SMALL, *options, early, "--model.transform=affine")
    assert done.code == 0, done.err
    assert list(tmp_path.glob("version_0/checkpoints/last.ckpt"))
    (events, *_) = sorted(tmp_path.glob("version_0/events*"))
    assert b"warp/input" in events.read_bytes()


def test_a_fit_without_a_length_ends(stn, caplog):
    """Lightning's own default is 1,000 epochs."""
    from stn_lightning.cli import DEFAULT_EPOCHS

    done = stn("fit", *SMALL, "--trainer.limit_train_batches=1", "--trainer.logger=false", "--trainer.limit_val_batches=0")
    assert done.code == 0, done.err
    assert f"max_epochs={DEFAULT_EPOCHS}" in caplog.text


def test_barebones_is_left_bare(stn):
    done = stn("fit", *SMALL, "--trainer.barebones=true", "--trainer.max_steps=2")
    assert done.code == 0, done.err
