"""Which checkpoints a run leaves."""

import os

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from stn_lightning.callbacks import BestAndLast
from stn_lightning.checkpoints import WholeCheckpoints, read_checkpoint, write_checkpoint


class Scripted(LightningModule):
    """Validation errors as written in advance; its weight counts the epochs."""

    def __init__(self, errors):
        super().__init__()
        self.errors = errors
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, batch_idx):
        return self.weight.sum()

    def on_train_epoch_start(self):
        torch.nn.init.constant_(self.weight, float(self.current_epoch))

    def validation_step(self, batch, batch_idx):
        if not self.trainer.sanity_checking:
            self.log("val/error", self.errors[self.current_epoch], batch_size=1)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def train(folder, errors, resume=None, callback=None, **options):
    silent = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    callback = callback or BestAndLast()
    callback.dirpath = str(folder)
    trainer = Trainer(max_epochs=len(errors), callbacks=[callback], **silent, **options)
    trainer.fit(Scripted(errors), [0], [0], ckpt_path=resume)
    return callback


def epoch(file):
    return int(torch.load(file, weights_only=True)["state_dict"]["weight"])


@pytest.mark.parametrize(
    ("errors", "best"), [([0.5, 0.4, 0.3], 2), ([0.3, 0.4, 0.5], 0), ([0.5, 0.2, 0.4, 0.3], 1), ([0.5, 0.5, 0.5], 0)]
)
def test_best_is_the_lowest_and_last_is_the_last(tmp_path, errors, best):
    train(tmp_path, errors)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt"]
    assert epoch(tmp_path / "best.ckpt") == best
    assert epoch(tmp_path / "last.ckpt") == len(errors) - 1


def test_without_a_metric_both_are_the_newest(tmp_path):
    train(tmp_path, [0.3, 0.4, 0.5], callback=BestAndLast(None))
    assert epoch(tmp_path / "best.ckpt") == epoch(tmp_path / "last.ckpt") == 2


def test_last_is_written_in_epochs_without_validation_too(tmp_path):
    train(tmp_path, [0.5, 0.4, 0.3, 0.2, 0.1], check_val_every_n_epoch=2)
    assert epoch(tmp_path / "last.ckpt") == 4
    assert epoch(tmp_path / "best.ckpt") == 3


@pytest.mark.parametrize(("later", "best"), [([0.9, 0.2, 0.5, 0.4], 1), ([0.9, 0.2, 0.5, 0.1], 3)])
def test_resumed_run_takes_the_best_along(tmp_path, later, best):
    first, second = tmp_path / "first", tmp_path / "second"
    train(first, later[:2])
    before = {file.name: file.read_bytes() for file in first.iterdir()}
    callback = train(second, later, resume=first / "last.ckpt")
    assert epoch(second / "best.ckpt") == best
    assert epoch(second / "last.ckpt") == 3
    assert callback.best_model_path == str(second / "best.ckpt")
    assert float(callback.best_model_score) == pytest.approx(min(later))
    assert {file.name: file.read_bytes() for file in first.iterdir()} == before


def test_resumed_run_whose_best_is_gone_goes_on(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    train(first, [0.9, 0.2])
    (first / "best.ckpt").unlink()
    train(second, [0.9, 0.2, 0.5], resume=first / "last.ckpt")
    assert epoch(second / "best.ckpt") == 2
    assert epoch(second / "last.ckpt") == 2


def test_resumed_run_whose_folder_was_moved_takes_the_best_along(tmp_path):
    train(tmp_path / "first", [0.9, 0.2, 0.3])
    moved = (tmp_path / "first").rename(tmp_path / "moved")
    written = (moved / "best.ckpt").stat().st_mtime_ns
    train(tmp_path / "second", [0.9, 0.2, 0.3, 0.5], resume=moved / "last.ckpt")
    assert epoch(tmp_path / "second" / "best.ckpt") == 1
    assert (tmp_path / "second" / "best.ckpt").stat().st_mtime_ns == written


def test_damaged_best_is_not_taken_along(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    train(first, [0.2, 0.3])
    os.truncate(first / "best.ckpt", 100)
    with pytest.warns(UserWarning, match=r"not taken along: .*best\.ckpt is damaged"):
        train(second, [0.2, 0.3, 0.9], resume=first / "last.ckpt")
    assert epoch(second / "best.ckpt") == 2


@pytest.mark.parametrize("monitored", [True, False])
@pytest.mark.parametrize("way", ["absolute", "through the folder"])
@pytest.mark.parametrize("kind", [BestAndLast, ModelCheckpoint])
def test_files_that_a_crafted_checkpoint_names_stay(tmp_path, kind, way, monitored):
    """Its state says that they are the worst of the run, to be replaced by the next."""
    first, second, victim = tmp_path / "first", tmp_path / "second", tmp_path / "victim.ckpt"
    options = {"dirpath": second, "monitor": "val/error" if monitored else None}
    options |= {} if kind is BestAndLast else {"save_last": True}
    train(first, [0.9], callback=BestAndLast())
    victim.write_text("mine")
    named = str(victim) if way == "absolute" else f"{second}/../victim.ckpt"
    crafted = read_checkpoint(first / "last.ckpt")
    worst = torch.tensor(9.0)
    crafted["callbacks"][kind(**options).state_key] = {
        "dirpath": str(second),
        "best_model_path": named,
        "best_model_score": worst,
        "best_k_models": {named: worst},
        "kth_best_model_path": named,
        "kth_value": worst,
        "last_model_path": named,
    }
    write_checkpoint(crafted, first / "crafted.ckpt")
    (first / "best.ckpt").unlink()
    trainer = Trainer(
        max_epochs=3,
        callbacks=[kind(**options)],
        plugins=[WholeCheckpoints()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    trainer.fit(Scripted([0.9, 0.2, 0.1]), [0], [0], ckpt_path=first / "crafted.ckpt")
    assert victim.read_text() == "mine"
    assert not [file for file in second.iterdir() if file.read_bytes() == b"mine"]
    assert any(epoch(file) == 2 for file in second.iterdir())


class Stop(Callback):
    """Ends a run in the middle of an epoch."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 5:
            raise RuntimeError("stop")


def test_last_is_written_within_epochs_too(tmp_path):
    trainer = Trainer(
        max_epochs=1,
        callbacks=[BestAndLast(None, tmp_path, every_n_steps=2), Stop()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    with pytest.raises(RuntimeError, match="stop"):
        trainer.fit(Scripted([0.0]), [0] * 9)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 4
    with pytest.raises(ValueError, match="every_n_steps of at least 1"):
        BestAndLast(every_n_steps=0)
