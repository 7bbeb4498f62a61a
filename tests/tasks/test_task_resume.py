"""A run that is resumed at the end of an epoch is, bit for bit, the run that was never interrupted."""

import pytest
import torch
from _faults.equal import same

SMALL = [
    "--model.network=FCN",
    "--model.network.width=8",
    "--model.transform=affine",
    "--model.optimizer=Adam",
    "--model.optimizer.lr=0.003",
    "--data.batch_size=64",
    "--data.num_validation=50",
    "--data.distortion=RTS",
    "--trainer.limit_train_batches=5",
    "--trainer.max_epochs=4",
    "--trainer.log_every_n_steps=2",
    "--trainer.enable_progress_bar=false",
]
SCHEDULES = {
    "one-cycle-by-step": ["--model.scheduler=OneCycleLR", "--model.scheduler.max_lr=0.01"],
    "step-by-epoch": [
        "--model.scheduler=StepLR",
        "--model.scheduler.step_size=2",
        "--model.scheduler.gamma=0.1",
        "--model.scheduler_interval=epoch",
    ],
}
INTERRUPT = ["--trainer.callbacks=stn_test_helpers.Interrupt", "--trainer.callbacks.epoch=2"]


def checkpoint(folder, run, name="last"):
    return torch.load(folder / f"version_{run}" / "checkpoints" / f"{name}.ckpt", weights_only=True)


@pytest.fixture(params=SCHEDULES)
def schedule(request):
    return SCHEDULES[request.param]


def test_resumed_run_is_the_uninterrupted_one(schedule, helpers, stn, tmp_path):
    assert stn("fit", *SMALL, *schedule, "--trainer.default_root_dir=whole").code == 0
    killed = stn("fit", *SMALL, *schedule, *INTERRUPT, "--trainer.default_root_dir=parts")
    assert killed.code != 0
    half = checkpoint(tmp_path / "parts", 0)
    assert (half["epoch"], half["global_step"]) == (1, 10)

    resumed = stn("fit", *SMALL, *schedule, "--trainer.default_root_dir=parts", "--ckpt_path=last")
    assert resumed.code == 0, resumed.err
    whole, parts = checkpoint(tmp_path / "whole", 0), checkpoint(tmp_path / "parts", 1)
    assert not same(half["state_dict"], whole["state_dict"])
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch"):
        assert same(parts[part], whole[part]), part
    assert parts["global_step"] == 20


def test_rerun_never_overwrites_a_run(stn, tmp_path):
    runs = []
    for _ in range(3):
        assert stn("fit", *SMALL[:8], "--trainer.max_epochs=1", "--trainer.limit_train_batches=1").code == 0
        runs.append({file: file.read_bytes() for file in (tmp_path / "runs").rglob("*") if file.is_file()})
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["version_0", "version_1", "version_2"]
    assert runs[0].items() <= runs[1].items() <= runs[2].items()
    names = {file.name.split(".")[0] for file in runs[0]}
    assert names >= {"best", "last", "config", "metrics", "hparams", "events"}


def test_folder_of_a_run_is_not_shared_even_if_it_is_empty(stn, tmp_path):
    (tmp_path / "runs" / "version_7").mkdir(parents=True)
    assert stn("fit", *SMALL[:8], "--trainer.max_epochs=1", "--trainer.limit_train_batches=1").code == 0
    assert not list((tmp_path / "runs" / "version_7").iterdir())
    assert (tmp_path / "runs" / "version_8" / "checkpoints" / "last.ckpt").is_file()


def test_last_is_the_newest_run(stn, tmp_path):
    """``--ckpt_path last`` goes on with the run that was written last."""
    for epochs in (1, 2):
        assert stn("fit", *SMALL, f"--trainer.max_epochs={epochs}").code == 0
    done = stn("fit", *SMALL, "--trainer.max_epochs=3", "--ckpt_path=last")
    assert done.code == 0
    assert checkpoint(tmp_path / "runs", 2)["epoch"] == 2
    rows = (tmp_path / "runs" / "version_2" / "metrics.csv").read_text().splitlines()
    epochs = {row.split(",")[0] for row in rows[1:]} - {""}
    assert epochs == {"2"}  # from version_0 it would have been two epochs


def test_best_checkpoint_is_taken_along(helpers, stn, tmp_path):
    """The resumed run, whose training is broken, keeps the best of the run that it goes on with."""
    two = [*SMALL, "--trainer.max_epochs=2", "--model.optimizer.lr=0.01"]
    assert stn("fit", *two).code == 0
    best = checkpoint(tmp_path / "runs", 0, "best")
    ruin = ["--trainer.max_epochs=3", "--ckpt_path=last", "--trainer.callbacks=stn_test_helpers.Poison"]
    stn("fit", *SMALL, "--model.optimizer.lr=0.01", *ruin, "--trainer.callbacks.step=11")
    kept = checkpoint(tmp_path / "runs", 1, "best")
    assert same(kept["state_dict"], best["state_dict"])
    assert (tmp_path / "runs" / "version_0" / "checkpoints" / "best.ckpt").is_file()
