"""The table that ``stn predict`` writes."""

import csv

import torch

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
