"""A loss that is not finite ends the training, names the step, and leaves the last good checkpoint."""

from functools import partial

import pytest
import torch

from stn_lightning.tasks import Classification, NonFiniteLossError
from stn_lightning.tasks._nonfinite import LossWatch

SMALL = [
    "--model.network=FCN",
    "--model.network.width=8",
    "--model.transform=affine",
    "--data.num_validation=50",
    "--data.batch_size=64",
    "--trainer.limit_train_batches=5",
    "--trainer.max_epochs=4",
    "--trainer.enable_progress_bar=false",
]


def poison(step, after=False):
    callback = "--trainer.callbacks=stn_test_helpers.Poison"
    return [callback, f"--trainer.callbacks.step={step}", f"--trainer.callbacks.after={str(after).lower()}"]


def checkpoints(folder):
    return {file.stem: torch.load(file, weights_only=True) for file in (folder / "runs").rglob("*.ckpt")}


def finite(state):
    return all(torch.isfinite(value).all() for value in state.values())


def test_absurd_learning_rate_ends_in_one_line(stn):
    done = stn("fit", *SMALL, "--model.optimizer=SGD", "--model.optimizer.lr=1e30")
    assert "loss is not finite since step 1 " in done.message
    assert "1e+30" in done.message


@pytest.mark.parametrize("every", [1, 50])
@pytest.mark.parametrize("step", [10, 13, 14])
def test_step_is_named_whatever_is_logged(helpers, stn, tmp_path, step, every):
    """Epochs of 5 steps: the last good checkpoint is that of step 10."""
    done = stn("fit", *SMALL, *poison(step), f"--trainer.log_every_n_steps={every}")
    assert f"since step {step} " in done.message
    kept = checkpoints(tmp_path)
    assert kept["last"]["global_step"] == 10
    assert finite(kept["last"]["state_dict"])
    assert finite(kept["best"]["state_dict"])


def test_last_good_checkpoint_goes_on(helpers, stn, tmp_path):
    assert stn("fit", *SMALL, *poison(12)).code != 0
    done = stn("fit", *SMALL, "--ckpt_path=last")
    assert done.code == 0, done.err
    (file,) = (tmp_path / "runs" / "version_1").rglob("last.ckpt")
    assert torch.load(file, weights_only=True)["global_step"] == 20
    assert Classification.load_from_checkpoint(file).network.classifier.weight.isfinite().all()


def test_update_that_breaks_the_weights_at_the_end_of_an_epoch_reaches_no_checkpoint(helpers, stn, tmp_path):
    """The loss of the last step was finite; what its update left is not."""
    done = stn("fit", *SMALL, *poison(9, after=True))
    assert done.code != 0
    kept = checkpoints(tmp_path)
    assert finite(kept["last"]["state_dict"])
    assert finite(kept["best"]["state_dict"])
    assert kept["last"]["global_step"] == 5


def test_checkpoint_within_an_epoch_is_guarded_too(make, digits, trainer, tmp_path):
    from lightning.pytorch.callbacks import Callback, ModelCheckpoint

    class Poison(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if batch_idx == 3:
                torch.nn.init.constant_(pl_module.network.classifier.weight, float("nan"))

    keep = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    machine = trainer(max_epochs=1, callbacks=[Poison(), keep], enable_checkpointing=True, limit_val_batches=0)
    with pytest.raises(NonFiniteLossError, match="since step 3 "):
        machine.fit(make(), digits())
    assert sorted(file.name for file in tmp_path.glob("*.ckpt")) == ["step=1.ckpt", "step=2.ckpt", "step=3.ckpt"]
    for file in tmp_path.glob("*.ckpt"):
        assert finite(torch.load(file, weights_only=True)["state_dict"])


def test_validation_in_the_middle_of_an_epoch_notices(make, digits, trainer):
    from lightning.pytorch.callbacks import Callback

    class Poison(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if batch_idx == 1:
                torch.nn.init.constant_(pl_module.network.classifier.weight, float("nan"))

    machine = trainer(max_epochs=1, callbacks=[Poison()], limit_train_batches=10, val_check_interval=4)
    with pytest.raises(NonFiniteLossError, match="since step 1 "):
        machine.fit(make(), digits())
    assert machine.global_step == 4


def test_finite_training_is_let_alone(make, digits, trainer):
    machine = trainer(max_epochs=1, limit_train_batches=5, log_every_n_steps=1)
    machine.fit(make(optimizer=partial(torch.optim.SGD, lr=0.1)), digits())
    assert machine.global_step == 5


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_first_step_is_remembered(value):
    watch = LossWatch()
    for step, loss in enumerate([1.0, 2.0, value, 1.0, value]):
        watch.update(torch.tensor(loss, requires_grad=True), step)
    with pytest.raises(NonFiniteLossError, match=r"since step 2 \(learning rate 0\.1\)"):
        watch.check(0.1)


def test_watch_of_finite_losses_is_silent():
    watch = LossWatch()
    for step in range(3):
        watch.update(torch.tensor(1e30), step)
    watch.check(0.1)
