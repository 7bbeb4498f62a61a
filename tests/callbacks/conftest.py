"""A small task with transformers in a row, and what it is shown."""

import math
from functools import partial

import pytest
import torch

SIDE = 32


def window(angle=0.0, scale=1.0, x=0.0, y=0.0):
    """Affine theta of a turned window."""
    c, s = scale * math.cos(math.radians(angle)), scale * math.sin(math.radians(angle))
    return [c, -s, x, s, c, y]


@pytest.fixture(scope="session", name="window")
def _window():
    return window


@pytest.fixture(scope="session")
def reader():
    """A constructor of tasks that read numbers: HouseNumberNet with an affine transformer at each place of ``starts``."""
    from stn_lightning.networks import HouseNumberNet
    from stn_lightning.tasks import SequenceRecognition
    from stn_lightning.transforms import Affine

    def reader(**starts):
        torch.manual_seed(0)
        network = partial(HouseNumberNet, width=1 / 32)
        row = {"transform": Affine(), "placements": list(starts), "initial": starts} if starts else {}
        task = SequenceRecognition((3, SIDE, SIDE), 10, 3, network=network, **row)
        task.standardise.mean.fill_(0.4)
        task.standardise.std.fill_(0.2)
        return task

    return reader


@pytest.fixture(scope="session")
def numbers():
    """Images of coloured bars on a gradient, and numbers of up to three digits."""

    def numbers(count):
        generator = torch.Generator().manual_seed(3)
        images = torch.linspace(0.2, 0.6, SIDE).expand(count, 3, SIDE, SIDE).clone()
        images += 0.1 * torch.rand(count, 3, 1, 1, generator=generator)
        images[:, 0, 8:24, 10:13] = 1.0
        images[:, 1, 12:20, 18:24] = 0.0
        targets = torch.randint(0, 11, (count, 3), generator=generator)
        targets[:, 0] %= 10
        targets[targets[:, 1] == 10, 2] = 10  # null to the end
        return images, targets

    return numbers


@pytest.fixture(scope="session")
def loader():
    """A DataLoader of batches as they are; a list of them would be several DataLoaders to Lightning."""
    from torch.utils.data import DataLoader

    return partial(DataLoader, batch_size=None)


@pytest.fixture
def trainer(tmp_path):
    """A constructor of trainers that log to TensorBoard in ``tmp_path``, with the callbacks given."""
    from lightning.pytorch import Trainer
    from lightning.pytorch.loggers import TensorBoardLogger

    def trainer(*callbacks, logger=True):
        silent = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
        log = TensorBoardLogger(tmp_path, name="", version=0) if logger else False
        return Trainer(accelerator="cpu", callbacks=list(callbacks), logger=log, default_root_dir=tmp_path, **silent)

    return trainer


@pytest.fixture
def pictures(tmp_path):
    """The newest picture of each tag in the event files of ``tmp_path``: (H, W, 3) arrays."""
    import io

    import numpy as np
    from PIL import Image
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def pictures():
        found = {}
        for file in sorted((tmp_path / "version_0").glob("events*")):
            events = EventAccumulator(str(file), size_guidance={"images": 0}).Reload()
            for tag in events.Tags()["images"]:
                found[tag] = np.asarray(Image.open(io.BytesIO(events.Images(tag)[-1].encoded_image_string)))
        return found

    return pictures


@pytest.fixture(scope="session")
def placed():
    """Thetas of ``translation`` for windows of 32 pixels in an image of 64, by the first pixel (x, y) of each."""

    def placed(corners, align_corners=False):
        spans = 1 if align_corners else 0  # -1 and 1 are the first and the last of 64 pixels, or their outer edges
        return [[(2 * first + 32 - spans) / (64 - spans) - 1 for first in corner] for corner in corners]

    return placed


@pytest.fixture(scope="session")
def colours_of_legend():
    """The colours of a legend (H, W, 3) from left to right; its text is grey."""
    import numpy as np

    def colours_of_legend(legend):
        line = legend[len(legend) // 2]
        found = line[np.ptp(line.astype(int), axis=-1) > 100]
        return list(dict.fromkeys(tuple(colour.tolist()) for colour in found))

    return colours_of_legend
