"""What a run writes, read back from its event file and its CSV."""

import csv
import io

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

OPTIONS = [
    "--model.network=FCN",
    "--model.network.width=8",
    "--model.transform=affine",
    "--model.optimizer=SGD",
    "--model.optimizer.lr=0.1",
    "--model.localisation_lr_scale=0.5",
    "--data.num_validation=50",
    "--data.batch_size=64",
    "--trainer.max_epochs=2",
    "--trainer.limit_train_batches=6",
    "--trainer.log_every_n_steps=3",
    "--trainer.enable_progress_bar=false",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory, stn_in):
    folder = tmp_path_factory.mktemp("tensorboard")
    done = stn_in(folder, "fit", *OPTIONS)
    assert done.code == 0, done.err
    return folder / "runs" / "version_0"


@pytest.fixture(scope="module")
def events(run):
    accumulator = EventAccumulator(str(run), size_guidance={"images": 0, "scalars": 0})
    accumulator.Reload()
    return accumulator


def scalars(events, tag):
    return {event.step: event.value for event in events.Scalars(tag)}


def test_tags(events):
    tags = events.Tags()
    assert set(tags["scalars"]) >= {"train/loss", "train/error", "val/loss", "val/error", "epoch"}
    assert "warp/input" in tags["images"]


def test_training_is_written_on_the_aligned_steps_and_validation_after_each_epoch(events):
    assert sorted(scalars(events, "train/loss")) == [2, 5, 8, 11]
    assert sorted(scalars(events, "val/error")) == [5, 11]


def test_learning_rates_of_each_group(events):
    rates = {tag: scalars(events, tag) for tag in events.Tags()["scalars"] if tag.startswith("lr")}
    assert len(rates) == 2
    for tag, values in rates.items():
        expected = 0.05 if "localisation" in tag else 0.1
        assert "localisation" in tag or "network" in tag
        assert list(values.values()) == pytest.approx([expected] * len(values))


def test_csv_says_the_same(run, events):
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for tag in ("train/loss", "train/error", "val/loss", "val/error"):
        written = {int(row["step"]): float(row[tag]) for row in rows if row.get(tag)}
        assert written == pytest.approx(scalars(events, tag))


def test_picture_at_each_validation_but_not_at_the_sanity_check(events):
    pictures = events.Images("warp/input")
    assert [picture.step for picture in pictures] == [6, 12]
    decoded = np.asarray(Image.open(io.BytesIO(pictures[0].encoded_image_string)))
    columns = decoded.shape[1] / 88
    assert decoded.shape[0] == 3 * 88
    assert columns == int(columns) > 1
    assert (decoded == [255, 80, 40]).all(-1).any()


def test_network_without_a_transformer_writes_no_picture(stn, tmp_path):
    options = [option for option in OPTIONS if "transform" not in option and "localisation" not in option]
    assert stn("fit", *options).code == 0
    accumulator = EventAccumulator(str(tmp_path / "runs" / "version_0"))
    accumulator.Reload()
    assert not [tag for tag in accumulator.Tags()["images"] if tag.startswith("warp/")]
    assert "val/error" in accumulator.Tags()["scalars"]
    assert sum(tag.startswith("lr") for tag in accumulator.Tags()["scalars"]) == 1


def test_transformer_after_a_convolution_is_pictured_by_its_name(stn, tmp_path):
    network = [
        "--model.network=CNN",
        "--model.network.width=4",
        "--model.network.filters=4",
        "--model.network.placement=conv1",
    ]
    done = stn("fit", *network, *OPTIONS[2:], "--model.localisation=fc", "--trainer.max_epochs=1")
    assert done.code == 0, done.err
    accumulator = EventAccumulator(str(tmp_path / "runs" / "version_0"))
    accumulator.Reload()
    assert [tag for tag in accumulator.Tags()["images"] if tag.startswith("warp/")] == ["warp/conv1"]
