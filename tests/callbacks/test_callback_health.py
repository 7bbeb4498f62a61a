"""Sick transformers, each made by a real short training, are named; healthy ones are not."""

import os
import subprocess
import sys
import warnings
from functools import partial

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.optim import Adam

from stn_lightning.callbacks import TransformerHealth
from stn_lightning.data import DistortedDigits
from stn_lightning.localisations import Bounded, FullyConnected
from stn_lightning.networks import FCN
from stn_lightning.penalties import Area, Equivariance
from stn_lightning.tasks import Classification
from stn_lightning.transforms import Affine, Attention, ThinPlateSpline

EPOCH = 8  # steps
INTERVAL = 4
MEASURES = {"outside", "area", "condition", "folds", "identity", "moved", "spread", "gradient"}
SILENT = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False, "accelerator": "cpu"}


class Prepared(Callback):
    """Does something to the network before training."""

    def __init__(self, prepare):
        self.prepare = prepare

    def on_fit_start(self, trainer, pl_module):
        with torch.no_grad():
            self.prepare(pl_module.network)


def task_and_data(lr=1e-3, **options):
    torch.manual_seed(0)
    data = DistortedDigits(batch_size=128, seed=0)
    parts = {"network": partial(FCN, width=32), "transform": Affine(), "optimizer": partial(Adam, lr=lr)}
    return Classification(data.input_shape, 10, **parts | options), data


def train(*callbacks, health=None, machine=(), **options):
    """Trains on rotated digits, two epochs unless ``machine`` says otherwise: the trainer, and the alarms."""
    task, data = task_and_data(**options)
    usual = {"max_epochs": 2, "logger": False, "log_every_n_steps": INTERVAL, "limit_val_batches": 0}
    trainer = Trainer(callbacks=[health or TransformerHealth(), *callbacks], **SILENT | usual | dict(machine))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(task, data)
    return trainer, [str(w.message) for w in caught if "spatial transformer `" in str(w.message)]


def named(*callbacks, **options):
    """Symptom: step of its alarm."""
    found = {}
    for alarm in train(*callbacks, **options)[1]:
        assert alarm.startswith("spatial transformer `input` is ")
        assert "Remedies: " in alarm
        assert "\n" not in alarm
        symptom, step = alarm.removeprefix("spatial transformer `input` is ").split(":")[0].split(" at step ")
        assert symptom not in found, "once, until it clears"
        found[symptom] = int(step)
    return found


def dead_units(network):
    network.transformers["input"].localisation.trunk[1].bias.fill_(-100.0)


def short_sighted(network):
    network.transformers["input"].localisation.head.weight.normal_(std=1e-5).requires_grad_(False)


def test_healthy_training_raises_no_alarm():
    assert named(lr=3e-3, machine={"max_epochs": 4}) == {}


def test_too_high_a_learning_rate_is_named():
    found = named(lr=0.1)
    assert found["diverged"] < EPOCH
    assert found["outside"] < EPOCH


def test_dead_units_are_named():
    assert named(Prepared(dead_units)) == {"dead": 7}  # at the start all are alike: the first measurement from step 5 on


def test_localisation_that_does_not_train_is_named():
    assert named(localisation_lr_scale=0.0, machine={"precision": "bf16-mixed"}) == {"dead": 7}


def test_frozen_localisation_is_healthy():
    assert named(frozen_epochs=2) == {}


def test_transformer_that_leaves_the_frame_is_named():
    found = named(lr=0.03)
    assert found["outside"] < EPOCH
    assert "diverged" not in found


def test_collapse_of_scale_is_named():
    prior = Area(100.0, least=-1.0, most=0.0)
    found = named(lr=3e-3, transform=Attention(), penalties=[prior], machine={"max_epochs": 3})
    assert set(found) == {"shrunk"}


def test_folding_spline_is_named():
    found = named(lr=3e-3, transform=ThinPlateSpline(), localisation_lr_scale=10.0, machine={"max_epochs": 1})
    assert set(found) == {"folded"}


def test_identity_is_named_after_a_while():
    assert named(localisation_lr_scale=1e-3, machine={"max_epochs": 26}) == {"identity": 203}


def test_window_that_is_a_strip_is_named():
    found = named(initial=[1.0, 0.0, 0.0, 0.0, 0.02, 0.0], machine={"max_epochs": 1})
    assert found["flattened"] == 0


def test_transformer_that_does_the_same_to_every_image_is_named():
    """Its bias learns; the weights that could look at the image are small, and do not."""
    found = named(Prepared(short_sighted), lr=3e-3, machine={"max_epochs": 26})
    assert found == {"uniform": 203}


def test_bounded_thetas_at_the_end_of_their_range_are_named():
    assert "saturated" in named(lr=3e-2, localisation=partial(Bounded, localisation=FullyConnected, reach=0.01))


def test_network_without_transformers_has_no_alarm():
    assert named(lr=0.1, transform=None, machine={"max_epochs": 1}) == {}


def test_gradients_may_be_accumulated():
    assert "outside" in named(lr=0.1, machine={"accumulate_grad_batches": 4})


def test_compiled_network_is_seen():
    assert "outside" in named(Prepared(lambda network: network.compile(backend="eager")), lr=0.1, machine={"max_epochs": 1})


def test_training_stops_on_collapse():
    trainer, alarms = train(lr=0.1, health=TransformerHealth(stop_on_collapse=True))
    assert trainer.global_step <= INTERVAL
    assert all("training stops" in alarm for alarm in alarms)


def test_other_symptoms_stop_nothing():
    trainer, alarms = train(localisation_lr_scale=0.0, health=TransformerHealth(stop_on_collapse=True))
    assert trainer.global_step == 2 * EPOCH
    assert "stops" not in "".join(alarms)


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    """What TensorBoard shows of a run with validation, in which a penalty looks at other images too."""
    folder = tmp_path_factory.mktemp("run")
    machine = {"logger": TensorBoardLogger(folder, name="", version=0), "log_every_n_steps": 6, "limit_val_batches": 1}
    train(lr=0.1, penalties=[Equivariance()], machine=machine)
    return EventAccumulator(str(folder / "version_0")).Reload()


def test_measures_are_in_tensorboard(events):
    assert {f"health_input/{measure}" for measure in MEASURES} <= set(events.Tags()["scalars"])
    assert "health_input/saturated" not in events.Tags()["scalars"]


def test_measured_at_the_first_step_logged_steps_and_the_end_of_an_epoch(events):
    assert [event.step for event in events.Scalars("health_input/area")] == [0, 5, 7, 11, 15]


def test_start_is_the_identity(events):
    at_start = {measure: events.Scalars(f"health_input/{measure}")[0].value for measure in MEASURES - {"gradient"}}
    assert at_start == pytest.approx(dict.fromkeys(at_start, 0.0) | {"area": 1.0, "condition": 1.0}, abs=1e-5)


def test_alarm_is_in_tensorboard(events):
    texts = [text.tensor_proto.string_val[0].decode() for text in events.Tensors("health_input/alarm/text_summary")]
    assert any("`input` is outside" in text and "--model.penalties+=Outside" in text for text in texts)


def test_resumed_run_knows_its_start(tmp_path):
    first, resumed = TransformerHealth(), TransformerHealth()
    train(health=first, machine={"max_epochs": 1})[0].save_checkpoint(tmp_path / "last.ckpt")
    task, data = task_and_data()
    usual = {"max_epochs": 2, "logger": False, "limit_val_batches": 0}
    Trainer(callbacks=[resumed], **SILENT | usual).fit(task, data, ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    torch.testing.assert_close(resumed.state_dict()["start"]["input"], first.state_dict()["start"]["input"], rtol=0, atol=0)


PROCESSES = [
    "--trainer.strategy=ddp_fork",
    "--trainer.accelerator=cpu",
    "--trainer.devices=2",
    "--trainer.max_epochs=4",
    "--trainer.log_every_n_steps=2",
    "--trainer.limit_val_batches=0",
    "--trainer.enable_progress_bar=false",
    "--trainer.callbacks=stn_lightning.callbacks.TransformerHealth",
    "--trainer.callbacks.stop_on_collapse=true",
    "--model.network=FCN",
    "--model.network.width=16",
    "--model.transform=affine",
    "--model.optimizer=torch.optim.Adam",
    "--model.optimizer.lr=1.0",
]


@pytest.mark.skipif(sys.platform != "linux", reason="ddp_fork needs fork")
def test_processes_stop_together_and_one_speaks(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "stn_lightning", "fit", *PROCESSES]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr  # where one process goes on alone, it waits for the other without end
    assert done.stderr.count("`input` is outside") == 1
    assert "training stops" in done.stderr
    assert "max_epochs" not in done.stderr
