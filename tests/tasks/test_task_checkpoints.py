"""Checkpoints are plain data: from the command line, from Python, and after loading and saving again."""

from functools import partial

import pytest
import torch

from stn_lightning.localisations import registry as localisations
from stn_lightning.networks import FCN
from stn_lightning.samplers import registry as samplers
from stn_lightning.tasks import Classification, Task
from stn_lightning.transforms import registry as transforms

ARGUMENTS = [
    "--model.network=FCN",
    "--model.network.width=8",
    "--model.transform=tps",
    "--model.transform.grid_size=3",
    "--model.localisation=fc",
    "--model.localisation.units=[5,6]",
    "--model.sampler=bicubic",
    "--model.sampler.padding_mode=border",
    "--model.output_size=[20,22]",
    "--model.label_smoothing=0.1",
    "--model.optimizer=Adam",
    "--model.optimizer.lr=0.002",
    "--model.scheduler=StepLR",
    "--model.scheduler.step_size=1",
    "--model.scheduler_interval=epoch",
    "--model.localisation_lr_scale=0.1",
]
SHORT = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=2", "--data.num_validation=50", "--trainer.logger=false"]
PARTS = [
    "transform",
    "sampler",
    "output_size",
    "label_smoothing",
    "scheduler_interval",
    "localisation_lr_scale",
    "input_shape",
]
FACTORIES = ["network", "localisation", "optimizer", "scheduler"]


def from_python():
    return Classification(
        input_shape=(1, 28, 28),
        num_classes=10,
        network=partial(FCN, width=8),
        transform=transforms["tps"](grid_size=3),
        localisation=partial(localisations["fc"], units=(5, 6)),
        sampler=samplers["bicubic"]("border"),
        output_size=(20, 22),
        label_smoothing=0.1,
        optimizer=partial(torch.optim.Adam, lr=0.002),
        scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=1),
        scheduler_interval="epoch",
        localisation_lr_scale=0.1,
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory, stn_in):
    """Checkpoint files by how they were made."""
    from lightning.pytorch import Trainer

    from stn_lightning.data import DistortedDigits

    folder = tmp_path_factory.mktemp("checkpoints")

    def train(task, name):
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
        trainer = Trainer(accelerator="cpu", max_epochs=1, limit_train_batches=2, limit_val_batches=1, **quiet)
        trainer.fit(task, DistortedDigits(batch_size=16))
        trainer.save_checkpoint(folder / name)
        return folder / name

    done = stn_in(folder, "fit", *ARGUMENTS, *SHORT)
    assert done.code == 0, done.err
    (from_cli,) = folder.rglob("last.ckpt")
    files = {"cli": from_cli, "python": train(from_python(), "python.ckpt")}
    for name in ("cli", "python"):
        again = Classification.load_from_checkpoint(files[name])
        files[f"{name} again"] = train(again, f"{name}_again.ckpt")
    return files


MADE = ["cli", "python", "cli again", "python again"]


def hyper_parameters(file):
    return torch.load(file, weights_only=True)["hyper_parameters"]


@pytest.mark.parametrize("made", MADE)
def test_checkpoint_is_plain_data(saved, made):
    def check(value):
        if isinstance(value, dict):
            assert all(type(key) is str for key in value)
            for item in value.values():
                check(item)
        elif isinstance(value, list | tuple):
            for item in value:
                check(item)
        else:
            assert value is None or type(value) in (bool, int, float, str), value

    kept = hyper_parameters(saved[made])
    check(dict(kept))
    assert kept["transform"]["class_path"] == "stn_lightning.transforms.tps"


@pytest.mark.parametrize("made", MADE[1:])
def test_hyper_parameters_are_the_same_however_it_was_made(saved, made):
    reference, kept = hyper_parameters(saved["cli"]), hyper_parameters(saved[made])
    for name in PARTS:
        assert list_of(kept[name]) == list_of(reference[name]), name
    for name in FACTORIES:
        assert kept[name]["class_path"] == reference[name]["class_path"], name
        for argument, value in kept[name].get("init_args", {}).items():
            assert reference[name]["init_args"][argument] == value, (name, argument)
    assert kept["_class_path"] == reference["_class_path"] == "stn_lightning.tasks.Classification"
    assert kept["_instantiator"] == reference["_instantiator"]


def list_of(value):
    return [list_of(item) for item in value] if isinstance(value, list | tuple) else value


def test_saving_again_changes_no_hyper_parameter(saved):
    assert hyper_parameters(saved["cli again"]) == hyper_parameters(saved["cli"])


@pytest.mark.parametrize("made", MADE)
def test_loaded_task_is_the_saved_one(saved, made):
    task = Classification.load_from_checkpoint(saved[made])
    weights = torch.load(saved[made], weights_only=True)["state_dict"]
    assert list(task.state_dict()) == list(weights)
    assert all(torch.equal(value, weights[key]) for key, value in task.state_dict().items())
    layer = task.network.transformers["input"]
    assert type(layer.transform) is transforms["tps"]
    assert layer.transform.num_params == 18
    assert layer.sampler.padding_mode == "border"
    assert [m.out_features for m in layer.localisation.trunk if hasattr(m, "out_features")] == [5, 6]
    assert task.criterion.label_smoothing == 0.1
    assert task(torch.rand(2, 1, 28, 28)).warps["input"].output.shape == (2, 1, 20, 22)
    optimizer = task._make_optimizer()
    assert type(optimizer) is torch.optim.Adam
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.002, 0.0002])


@pytest.mark.parametrize("made", MADE)
def test_hyper_parameters_of_a_loaded_task_are_plain(saved, made):
    task = Classification.load_from_checkpoint(saved[made])
    assert task.hparams["transform"]["init_args"]["grid_size"] == 3
    assert task.hparams["sampler"]["class_path"] == "stn_lightning.samplers.bicubic"


@pytest.mark.parametrize("made", MADE)
def test_checkpoint_continues_on_the_command_line(saved, made, stn):
    options = ["--model.network=FCN", "--data.num_validation=50", "--trainer.logger=false"]
    done = stn("validate", *options, f"--ckpt_path={saved[made]}")
    assert done.code == 0, done.err
    assert "val/error" in done.out


def test_argument_without_a_plain_form_is_refused_at_once():
    class Odd:
        def __call__(self, groups):
            return torch.optim.SGD(groups, lr=0.1)

    with pytest.raises(ValueError, match="expected plain data"):
        Classification((1, 28, 28), 10, network=partial(FCN, width=2), optimizer=Odd())


def test_numbers_of_numpy_load_again(tmp_path, trainer, digits):
    import numpy as np

    task = Classification((1, 28, 28), 10, network=partial(FCN, width=np.int64(2)), label_smoothing=np.float64(0.1))
    machine = trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=0)
    machine.fit(task, digits())
    machine.save_checkpoint(tmp_path / "numpy.ckpt")
    assert hyper_parameters(tmp_path / "numpy.ckpt")["label_smoothing"] == 0.1


def test_task_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        Task()
