"""Checkpoints of all tasks, after a step of training that leaves no transformer at the identity, and what they export to."""

import sys
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)
NAMES = ["crow", "wren", "täubchen"]
STATISTICS = (torch.tensor([0.3, 0.4, 0.5]), torch.tensor([0.2, 0.1, 0.3]))


def digits():
    from stn_lightning.networks import FCN
    from stn_lightning.samplers import Bicubic
    from stn_lightning.tasks import Classification
    from stn_lightning.transforms import ThinPlateSpline

    network, options = partial(FCN, width=8), {"sampler": Bicubic("border"), "output_size": (18, 16)}
    return Classification((1, 20, 22), 3, network=network, transform=ThinPlateSpline(grid_size=3), **options)


def projective():
    from stn_lightning.networks import FCN
    from stn_lightning.samplers import Antialiased
    from stn_lightning.tasks import Classification
    from stn_lightning.transforms import Projective

    options = {"sampler": Antialiased("reflection"), "output_size": (9, 9), "align_corners": True}
    return Classification((3, 20, 20), 3, network=partial(FCN, width=8), transform=Projective(), **options)


def numbers():
    from stn_lightning.networks import HouseNumberNet
    from stn_lightning.tasks import SequenceRecognition
    from stn_lightning.transforms import Affine

    network = partial(HouseNumberNet, width=1 / 64)
    return SequenceRecognition((3, 24, 24), 10, 2, network=network, transform=Affine(), placements=["input", "conv1"])


def parts(localisation=None):
    from stn_lightning.localisations import SoftArgmax
    from stn_lightning.tasks import PartsClassification

    return PartsClassification((3, 64, 64), 3, localisation=partial(SoftArgmax, downsample=2), shared=True)


def backbone():
    from stn_lightning.samplers import BSpline
    from stn_lightning.tasks import PartsClassification

    return PartsClassification((3, 64, 64), 3, num_parts=1, sampler=BSpline("border"))


TASKS = {make.__name__: make for make in (digits, projective, numbers, parts, backbone)}


def images(shape, count):
    """Smooth pictures in [0, 1]."""
    coarse = torch.rand(count, shape[0], 5, 5, generator=torch.Generator().manual_seed(count))
    return torch.nn.functional.interpolate(coarse, shape[1:], mode="bicubic").clamp(0, 1)


@pytest.fixture(scope="session", name="images")
def _images():
    return images


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """The file of a task's checkpoint, by its name."""
    from lightning.pytorch import LightningDataModule, Trainer
    from torch.utils.data import TensorDataset

    made = {}

    def checkpoint(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            torch.manual_seed(0)
            task = TASKS[name]()
            with torch.no_grad():
                for parameter in task.parameters():
                    parameter += 0.05 * torch.randn_like(parameter)
            target = torch.tensor([[1, 2], [3, 10]] if name == "numbers" else [0, 2])
            data = LightningDataModule.from_datasets(TensorDataset(images(task.network.input_shape, 2), target), batch_size=2)
            data.class_names, data.statistics = NAMES, STATISTICS
            silent = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
            trainer = Trainer(accelerator="cpu", max_steps=1, logger=False, default_root_dir=folder, **silent)
            trainer.fit(task, data)
            trainer.save_checkpoint(folder / "it.ckpt")
            made[name] = folder / "it.ckpt"
        return made[name]

    return checkpoint


@pytest.fixture(scope="session")
def task(checkpoint):
    """The task of a checkpoint, by its name."""
    from stn_lightning.tasks import Task

    return lambda name: Task.load_from_checkpoint(checkpoint(name), map_location="cpu").eval()


@pytest.fixture(scope="session")
def exported(task, tmp_path_factory):
    """The file that a task exports to, thetas included, by its name and the format."""
    from stn_lightning.exporting import export_task

    made = {}

    def exported(name, format):
        if (name, format) not in made:
            made[name, format] = file = tmp_path_factory.mktemp(f"{name}_{format}") / "it"
            one = task(name)
            export_task(one, file, format, images(one.network.input_shape, 8), theta=True)
        return made[name, format]

    return exported


def installed_files(names):
    """Top-level names in site-packages of distributions and all that they require."""
    from packaging.requirements import Requirement

    seen, waiting = set(), list(names)
    while waiting:
        requirement = Requirement(waiting.pop())
        if requirement.name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(requirement.name)
        try:
            found = distribution(requirement.name)
        except PackageNotFoundError:  # torch without CUDA
            continue
        yield from {file.parts[0] for file in found.files if file.parts[0] != ".."}
        waiting += found.requires or []


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """Arguments of a Python that can import nothing but its standard library and some distributions.

    With what they require, or else the very names in site-packages.
    """

    def bare(*distributions, required=True):
        folder = tmp_path_factory.mktemp("site")
        site = Path(torch.__file__).parents[1]
        for name in {*installed_files(distributions)} if required else distributions:
            (folder / name).symlink_to(site / name)
        return [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(folder)!r}); exec(sys.stdin.read())"]

    return bare
