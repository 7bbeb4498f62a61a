"""Parts in two real processes on the CPU, with loader workers, against one process with the same global batch.

The windows start between the centres of pixels: at them the slope of bilinear interpolation jumps, and rounding decides
on which side one is. All images of a class are tinted in its colour, so that 20 steps teach something.
"""

import csv
import json
import os
import subprocess
import sys
from itertools import chain
from textwrap import dedent
from zlib import crc32

import numpy as np
import pytest
import yaml
from PIL import Image

from stn_lightning.data import Birds

if sys.platform != "linux":
    pytest.skip("ddp_fork needs fork", allow_module_level=True)

EPOCHS, TRAIN, VALIDATION, GLOBAL_BATCH = 5, 64, 17, 16
TINTS = np.array([[1, 0.2, 0.2], [0.2, 1, 0.2], [0.2, 0.2, 1]])
CONFIG = f"""
    seed_everything: 0
    trainer:
      accelerator: cpu
      precision: 32-true
      max_epochs: {EPOCHS}
      check_val_every_n_epoch: {EPOCHS}
      num_sanity_val_steps: 0
      log_every_n_steps: 1
      enable_progress_bar: false
      callbacks: stn_test_parts.Losses
    model:
      class_path: PartsClassification
      init_args:
        backbone: squeezenet1_1  # no batch statistics
        dropout: 0.0
        initial: [[-0.47, 0.03], [0.46, -0.02]]
        localisation_lr_scale: 1.0
        optimizer:
          class_path: torch.optim.SGD
          init_args: {{lr: 0.002, momentum: 0.9}}
    data:
      class_path: Birds
      init_args:
        size: 64
        random_crop: false
        flip: false
        classes: 3
        images_per_class: [27, 1]
        num_validation: {VALIDATION}
        num_workers: 1
"""
HELPER = """
    import json
    from pathlib import Path
    from zlib import crc32

    from lightning.pytorch import Callback

    class Losses(Callback):
        '''Writes down the loss of each step of a rank, and which images it saw.'''

        def __init__(self) -> None:
            self.losses, self.images = [], []

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.losses.append(float(outputs["loss"]))
            self.images.append([crc32(image.numpy().tobytes()) for image in batch.image])

        def on_fit_end(self, trainer, pl_module):
            page = {"losses": self.losses, "images": self.images}
            Path(f"rank{trainer.global_rank}.json").write_text(json.dumps(page))
"""


def birds(folder):
    options = yaml.safe_load((folder / "config.yaml").read_text())["data"]["init_args"]
    return Birds(root=str(folder), **{**options, "num_workers": 0, "batch_size": 1})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    (folder / "stn_test_parts.py").write_text(dedent(HELPER))
    (folder / "config.yaml").write_text(dedent(CONFIG))
    birds(folder).prepare_data()
    for tint, place in zip(TINTS, sorted(folder.glob("birds/*/images/*")), strict=True):
        for file in place.iterdir():
            Image.fromarray((np.asarray(Image.open(file)) * tint).astype(np.uint8)).save(file, quality=95)
    return folder


def fit(folder, processes):
    """The pages of all ranks, and the rows of validation."""
    place = folder / str(processes)
    place.mkdir()
    options = [f"--trainer.devices={processes}", f"--data.batch_size={GLOBAL_BATCH // processes}", f"--data.root={folder}"]
    strategy = ["--trainer.strategy=ddp_fork"] if processes > 1 else []
    command = [sys.executable, "-m", "stn_lightning", "fit", "-c", str(folder / "config.yaml"), *options, *strategy]
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "STN_ALLOW_IMPORT": "stn_test_parts", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    with (place / "runs" / "version_0" / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/error"]]
    return [json.loads((place / f"rank{rank}.json").read_text()) for rank in range(processes)], rows


@pytest.fixture(scope="module")
def alone(folder):
    return fit(folder, 1)


@pytest.fixture(scope="module")
def together(folder, alone):
    return fit(folder, 2)


def test_two_processes_learn_as_one(alone, together):
    """The mean over processes of each step's loss: a sum of the same terms, in another order."""
    (page,), _ = alone
    pages, _ = together
    means = [sum(losses) / 2 for losses in zip(*(page["losses"] for page in pages), strict=True)]
    assert len(means) == EPOCHS * TRAIN // GLOBAL_BATCH >= 20
    assert means == pytest.approx(page["losses"], rel=0, abs=1e-4)
    assert sum(means[-4:]) < 0.8 * sum(means[:4])


def test_batches_of_two_are_halves_of_the_batches_of_one(alone, together):
    (page,), _ = alone
    pages, _ = together
    for whole, *halves in zip(page["images"], *(page["images"] for page in pages), strict=True):
        assert [len(half) for half in halves] == [GLOBAL_BATCH // 2] * 2
        assert sorted(chain(*halves)) == sorted(whole)


def test_both_see_each_training_image_once_an_epoch(folder, together):
    data = birds(folder)
    data.setup()
    expected = sorted(
        crc32(data.on_after_batch_transfer(batch, 0).image.numpy().tobytes()) for batch in data.train_dataloader()
    )
    assert len(set(expected)) == TRAIN
    pages, _ = together
    steps = TRAIN // GLOBAL_BATCH
    for start in range(0, EPOCHS * steps, steps):
        batches = [batch for page in pages for batch in page["images"][start : start + steps]]
        assert sorted(chain(*batches)) == expected


def test_validation_is_of_the_whole_set(alone, together):
    """17 images on two processes: padded to 18, or of one rank, they would give an error that is off by 0.003 or more."""
    (_, (row,)), (_, (other,)) = alone, together
    names = [name for name in row if name.startswith("val/")]
    assert {"val/error", "val/error_top5", "val/loss", "val/covered_beak", "val/box_iou_by_2"} <= set(names)
    values = {name: float(row[name]) for name in names}
    assert {name: float(other[name]) for name in names} == pytest.approx(values, rel=0, abs=2e-4)
    assert values["val/error"] * VALIDATION == pytest.approx(round(values["val/error"] * VALIDATION), abs=1e-4)
