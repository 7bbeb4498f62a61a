"""A run that is stopped in any hook and resumed is, bit for bit, the run that was never interrupted."""

import pytest
import torch
from _faults.equal import same
from lightning.pytorch import LightningDataModule, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import Checkpoint, EMAWeightAveraging
from lightning.pytorch.loggers.logger import DummyLogger
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, StepLR

from stn_lightning.callbacks import RandomState, ResumePoint
from stn_lightning.data._batches import EvaluationBatches, TrainingBatches

N, BATCH, EPOCHS = 32, 6, 3
STEPS = {"max_epochs": -1, "max_steps": 13}


class Data(LightningDataModule):
    def train_dataloader(self):
        images = torch.randint(0, 256, (N, 4), generator=torch.Generator().manual_seed(1)).byte()
        return TrainingBatches(images, torch.arange(N), BATCH, 3)

    def val_dataloader(self):
        return EvaluationBatches(torch.rand(10, 4, generator=torch.Generator().manual_seed(2)), torch.arange(10), 4)


class Net(LightningModule):
    def __init__(self, counts_steps):
        super().__init__()
        self.counts_steps = counts_steps
        self.net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 1))
        self.seen, self.validated = [], []

    def training_step(self, raw, batch_idx):
        self.seen.append((self.current_epoch, raw.target.tolist()))
        self.log("train/loss", 1.0)
        return (self.net(raw.image / 255) - raw.target[:, None] / N).square().mean()

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self.net(batch[0]).square().mean())

    def on_validation_epoch_end(self):
        self.validated += [] if self.trainer.sanity_checking else [self.global_step]

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), 0.01)
        by_step = StepLR(optimizer, 2, 0.9)
        if self.counts_steps:  # for which Lightning makes the loader before it loads the state
            by_step = OneCycleLR(optimizer, 0.1, int(self.trainer.estimated_stepping_batches))
        schedulers = [by_step, StepLR(optimizer, 1, 0.8)]
        return [optimizer], [{"scheduler": s, "interval": i} for s, i in zip(schedulers, ("step", "epoch"), strict=True)]


class Rows(DummyLogger):
    def __init__(self):
        super().__init__()
        self.rows = {}

    def log_metrics(self, metrics, step=None):
        self.rows |= {(name, step): float(value) for name, value in metrics.items() if name != "epoch"}


class StopError(Exception):
    pass


class Stop(Checkpoint):
    """Saves, and stops, where a hook is called for the n-th time."""

    def __init__(self, hook, number, file):
        def stop(trainer, *args, **kwargs):
            self.left -= not trainer.sanity_checking
            if self.left == 0:
                trainer.save_checkpoint(file)
                raise StopError

        self.left = number
        setattr(self, hook, stop)


def fit(folder, options, *callbacks, resumed=None, exact=True):
    seed_everything(7, verbose=False)
    options = dict(options)
    averages = [EMAWeightAveraging(decay=0.9)] if options.pop("averages", False) else []
    silent = {"enable_progress_bar": False, "enable_model_summary": False, "default_root_dir": folder, "accelerator": "cpu"}
    ours = [RandomState(), ResumePoint()] if exact else []
    net, rows = Net(options.pop("counts_steps", False)), Rows()
    trainer = Trainer(
        callbacks=[*averages, *ours, *callbacks],
        logger=rows,
        log_every_n_steps=1,
        **{"max_epochs": EPOCHS, **silent, **options},
    )
    try:
        trainer.fit(net, datamodule=Data(), ckpt_path=resumed, weights_only=True)
    except StopError:
        assert resumed is None
    state = [
        net.state_dict(),
        trainer.optimizers[0].state_dict(),
        [c.scheduler.state_dict() for c in trainer.lr_scheduler_configs],
    ]
    return net, rows.rows, [state, trainer.global_step, trainer.current_epoch, torch.get_rng_state()]


OPTIONS = {
    "plain": {},
    "averages": {"averages": True},
    "counts-steps": {"counts_steps": True},
    "accumulated": {"accumulate_grad_batches": 3},
    "validated-within": {"val_check_interval": 2},
    "validated-every-second": {"check_val_every_n_epoch": 2, "max_epochs": 4},
    "not-validated": {"limit_val_batches": 0},
    "by-steps": STEPS,
    "by-steps-accumulated": {"max_epochs": -1, "max_steps": 5, "accumulate_grad_batches": 3},
    "validated-by-steps": {**STEPS, "val_check_interval": 4, "check_val_every_n_epoch": None},
}
HOOKS = {
    "on_train_start": 1,
    "on_train_epoch_start": 2,
    "on_train_batch_start": 7,
    "on_train_batch_end": 8,
    "on_validation_start": 2,
    "on_validation_end": 2,
    "on_train_epoch_end": 2,
}
WITHIN = [("on_train_batch_end", n) for n in (1, 4, 5, 10)] + [("on_train_batch_start", n) for n in (1, 6)]
PLACES = [("plain", *place) for place in [*HOOKS.items(), *WITHIN, ("on_validation_batch_end", 2)]]
PLACES += [
    (name, *place) for name in list(OPTIONS)[1:] for place in HOOKS.items() if "not" not in name or "val" not in place[0]
]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    found = {}

    def uninterrupted(name):
        if name not in found:
            found[name] = fit(tmp_path_factory.mktemp("whole"), OPTIONS[name])
        return found[name]

    return uninterrupted


@pytest.mark.parametrize(("name", "hook", "number"), PLACES)
def test_resumed_run_is_the_uninterrupted_one(name, hook, number, uninterrupted, tmp_path):
    file = tmp_path / "stopped.ckpt"
    net, rows, end = uninterrupted(name)
    stopped, first_rows, _ = fit(tmp_path, OPTIONS[name], Stop(hook, number, file))
    torch.rand(3)
    resumed, rest_rows, resumed_end = fit(tmp_path, OPTIONS[name], resumed=file)
    assert same(resumed_end, end)
    assert stopped.seen + resumed.seen == net.seen
    found = first_rows | rest_rows
    assert found.items() <= rows.items()
    assert {name for name, _ in rows.keys() - found.keys()} <= ({"train/loss"} if hook == "on_train_batch_end" else set())
    repeated = hook in ("on_validation_start", "on_validation_batch_end")
    assert len(stopped.validated + resumed.validated) == len(net.validated)
    assert repeated or sorted(stopped.validated + resumed.validated) == net.validated


def test_without_the_callbacks_it_is_another(uninterrupted, tmp_path):
    """So the test above can fail: Lightning alone keeps no generators, and skips the validation."""
    file = tmp_path / "stopped.ckpt"
    net, _, end = uninterrupted("plain")
    stopped, _, _ = fit(tmp_path, {}, Stop("on_train_batch_end", 5, file), exact=False)
    torch.rand(3)
    resumed, _, resumed_end = fit(tmp_path, {}, resumed=file, exact=False)
    assert not same(resumed_end, end)
    assert len(stopped.validated + resumed.validated) < len(net.validated)


def test_epoch_that_was_cut_short_goes_on(uninterrupted, tmp_path):
    """As `max_time` does, or a callback that says `should_stop`."""

    class Enough(Checkpoint):
        def on_train_batch_end(self, trainer, *args):
            trainer.should_stop = trainer.global_step == 7

        def on_train_epoch_end(self, trainer, *args):
            trainer.save_checkpoint(tmp_path / "last.ckpt")

    net, _, end = uninterrupted("plain")
    stopped, _, _ = fit(tmp_path, {}, Enough())
    resumed, _, resumed_end = fit(tmp_path, {}, resumed=tmp_path / "last.ckpt")
    assert len(stopped.seen) == 7
    assert stopped.seen + resumed.seen == net.seen
    assert same(resumed_end, end)
