"""A task small enough to train in a test, and a silent trainer."""

from functools import partial

import pytest
import torch

SIZE = {"input_shape": (1, 28, 28), "num_classes": 10}
SMALL = object()


@pytest.fixture
def make():
    """A constructor of tasks: FCN of width 8 with an affine transformer, of a fixed seed."""
    from stn_lightning.networks import FCN
    from stn_lightning.tasks import Classification
    from stn_lightning.transforms import registry

    def make(transform="affine", network=SMALL, **options):
        torch.manual_seed(0)
        network = partial(FCN, width=8) if network is SMALL else network
        part = registry[transform]() if isinstance(transform, str) else transform
        return Classification(**SIZE, network=network, transform=part, **options)

    return make


@pytest.fixture
def digits():
    """A constructor of the embedded digits, 1,297 to train on in batches of 64."""
    from stn_lightning.data import DistortedDigits

    return lambda **options: DistortedDigits(**{"batch_size": 64, "num_validation": 50, "seed": 0, **options})


@pytest.fixture
def built_again(trainer, tmp_path):
    """A function of a task and its data: the task, trained for an epoch, from its checkpoint."""

    def built_again(task, data):
        fit = trainer(max_epochs=1)
        fit.fit(task, data)
        fit.save_checkpoint(tmp_path / "it.ckpt")
        again = type(task).load_from_checkpoint(tmp_path / "it.ckpt")
        assert dict(again.hparams) == dict(task.hparams)
        return again.eval()

    return built_again


@pytest.fixture
def trainer(tmp_path):
    """A constructor of trainers that say and write nothing but what they are asked to."""
    from lightning.pytorch import Trainer

    silent = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False, "logger": False}
    return lambda **options: Trainer(**{"accelerator": "cpu", "default_root_dir": tmp_path, **silent, **options})
