"""The table that ``stn predict`` writes."""

import csv
import os

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader

from stn_lightning.callbacks import PredictionTable
from stn_lightning.data import DistortedDigits
from stn_lightning.tasks import Classification

OPTIONS = ["--model.network=FCN", "--model.network.width=8", "--model.transform=affine", "--data.num_validation=50"]


def test_row_for_each_image_in_order(stn, tmp_path):
    assert stn("fit", *OPTIONS, "--trainer.max_epochs=1", "--trainer.limit_train_batches=2").code == 0
    done = stn("predict", *OPTIONS, "--ckpt_path=last")
    assert done.code == 0, done.err
    (table,) = tmp_path.rglob("predictions.csv")
    with table.open() as file:
        rows = list(csv.DictReader(file))
    (checkpoint,) = tmp_path.rglob("last.ckpt")
    task = Classification.load_from_checkpoint(checkpoint).eval()
    data = DistortedDigits(num_validation=50)
    data.setup()
    with torch.no_grad():
        probabilities = torch.cat([task(images).prediction for images, _ in data.predict_dataloader()]).softmax(1)
    assert [int(row["image"]) for row in rows] == list(range(450))
    assert [int(row["class"]) for row in rows] == probabilities.argmax(1).tolist()
    torch.testing.assert_close(torch.tensor([float(row["confidence"]) for row in rows]), probabilities.amax(1))


class Fixed(LightningModule):
    """Predicts what its batches say."""

    def predict_step(self, batch, batch_idx):
        return batch


def table(folder, batches):
    silent = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = Trainer(callbacks=[PredictionTable()], default_root_dir=folder, **silent)
    trainer.predict(Fixed(), DataLoader(batches, batch_size=None))
    return folder / "predictions.csv"


def test_names_of_files_stand_first_instead_of_numbers(tmp_path):
    batches = [
        {"number": ["12", "7"], "file": ["b.png", 'a, "odd" one.png'], "confidence": torch.tensor([0.5, 0.25])},
        {"number": [""], "file": ["line\nbreak.png"], "confidence": torch.tensor([1.0])},
    ]
    with table(tmp_path, batches).open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["file", "number", "confidence"],
            ["b.png", "12", "0.5"],
            ['a, "odd" one.png', "7", "0.25"],
            ["line\nbreak.png", "", "1.0"],
        ]


def test_a_name_that_is_no_text_keeps_its_bytes(tmp_path):
    file = table(tmp_path, [{"file": ["\udcff.png"], "number": ["1"]}])
    assert file.read_bytes() == b"file,number\r\n\xff.png,1\r\n"


def test_columns_of_different_lengths_leave_the_old_table_and_no_part_of_a_new_one(tmp_path):
    good = {"number": ["1", "2"], "confidence": torch.tensor([0.5, 0.5])}
    before = table(tmp_path, [good]).read_bytes()
    with pytest.raises(ValueError, match="columns of one length, got number 2, confidence 1"):
        table(tmp_path, [good, good | {"confidence": torch.tensor([0.5])}])
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("predictions.csv", before)]


def test_a_disk_that_is_full_leaves_the_old_table_and_no_part_of_a_new_one(tmp_path, monkeypatch):
    good = {"number": ["1", "2"]}
    before = table(tmp_path, [good]).read_bytes()

    def full(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        table(tmp_path, [good, good])
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("predictions.csv", before)]
