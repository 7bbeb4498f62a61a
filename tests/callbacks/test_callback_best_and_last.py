"""Which checkpoints a run leaves."""

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from stn_lightning.callbacks import BestAndLast


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
