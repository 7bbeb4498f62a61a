"""DistortedDigits on the embedded digits."""

import os

import pytest
import torch

from stn_lightning.data import DistortedDigits
from stn_lightning.data._batches import Raw
from stn_lightning.distortions import RandomPlacement, RandomRotation


def ready(**options):
    data = DistortedDigits(**options)
    data.setup()
    return data


def whole(batches):
    images, targets = zip(*batches, strict=True)
    return torch.cat(images), torch.cat(targets)


def first_batch(data, epoch=0):
    loader = data.train_dataloader()
    loader.set_epoch(epoch)
    return data.on_after_batch_transfer(next(iter(loader)), 0)


def test_embedded_digits_have_the_shape_of_mnist():
    data = ready(distortion="none")
    train, validation, test = (data._sets[name] for name in ("train", "validation", "test"))
    assert [len(part.targets) for part in (train, validation, test)] == [1147, 200, 450]
    for part in (train, validation, test):
        assert part.images.dtype == torch.uint8
        assert part.images.shape[1:] == (1, 28, 28)
        assert part.targets.dtype == torch.int64
        assert set(part.targets.tolist()) == set(range(10))
    border = test.images.clone()
    border[..., 4:24, 4:24] = 0
    assert border.max() == 0
    assert test.images.max() == 255


def test_embedded_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    test = ready(distortion="none")._sets["test"]
    assert torch.equal(test.targets, torch.from_numpy(bunch.target[-450:]).long())
    small = torch.from_numpy(bunch.images[-450:]).flatten(1).mean(1) / 16
    large = test.images[..., 4:24, 4:24].float().flatten(1).mean(1) / 255
    torch.testing.assert_close(large.double(), small, atol=0.03, rtol=0)


@pytest.mark.parametrize(("distortion", "side"), [("none", 28), ("R", 28), ("RTS", 42), (RandomPlacement(60), 60)])
def test_input_shape_is_that_of_every_batch(distortion, side):
    data = ready(distortion=distortion, batch_size=16)
    assert (data.input_shape, data.num_classes) == ((1, side, side), 10)
    batches = [first_batch(data), *(next(iter(loader())) for loader in (data.val_dataloader, data.test_dataloader))]
    for images, targets in [*batches, next(iter(data.predict_dataloader()))]:
        assert images.shape == (16, 1, side, side)
        assert images.dtype == torch.float32
        assert targets.shape == (16,)
        assert images.min() >= 0
        assert 0.9 < images.max() <= 1 + 1e-6


def test_validation_is_split_off_training_and_never_test():
    everything = ready(distortion="none")
    rows = {name: [image.numpy().tobytes() for image in part.images] for name, part in everything._sets.items()}
    assert not set(rows["train"]) & set(rows["validation"])
    other = ready(distortion="none", num_validation=300, evaluation_seed=5)
    assert torch.equal(other._sets["test"].images, everything._sets["test"].images)
    pool = sorted(rows["train"] + rows["validation"])
    assert sorted(image.numpy().tobytes() for name in ("train", "validation") for image in other._sets[name].images) == pool
    assert not set(rows["test"]) & set(pool)


@pytest.mark.parametrize("split", ["val", "test"])
def test_evaluation_set_depends_on_its_own_seed_alone(split):
    def images(**options):
        torch.manual_seed(options.pop("torch_seed", 0))
        return whole(getattr(ready(distortion="RTS", **options), f"{split}_dataloader")())

    reference = images()
    for options in ({"batch_size": 7}, {"seed": 3}, {"torch_seed": 9}):
        for a, b in zip(images(**options), reference, strict=True):
            assert torch.equal(a, b), options
    assert not torch.equal(images(evaluation_seed=1)[0], reference[0])


def test_validation_and_test_are_distorted_apart():
    """The second image of each has another angle: their streams are not one."""
    data = ready(distortion=RandomRotation(90.0), num_validation=450)
    data._sets["validation"] = data._sets["test"]
    assert not torch.equal(whole(data.val_dataloader())[0], whole(data.test_dataloader())[0])


def test_evaluation_is_distorted_once():
    data = ready(distortion="R")
    assert torch.equal(whole(data.test_dataloader())[0], whole(data.test_dataloader())[0])
    assert torch.equal(whole(data.test_dataloader())[0], whole(data.predict_dataloader())[0])


def test_evaluation_is_the_distortion_of_the_raw_images():
    plain, rotated = ready(distortion="none"), ready(distortion="R")
    ink = [whole(data.test_dataloader())[0].sum((1, 2, 3)) for data in (plain, rotated)]
    torch.testing.assert_close(*ink, rtol=0.02, atol=0.5)
    assert not torch.equal(whole(plain.test_dataloader())[0], whole(rotated.test_dataloader())[0])
    images, targets = whole(plain.test_dataloader())
    assert torch.equal((images * 255).round().to(torch.uint8), plain._sets["test"].images)
    assert torch.equal(targets, plain._sets["test"].targets)


def test_what_is_evaluated_may_be_distorted_otherwise():
    plain, rotated, mixed = ready(distortion="none"), ready(), ready(evaluation_distortion="none")
    for a, b in zip(whole(mixed.test_dataloader()), whole(plain.test_dataloader()), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(whole(mixed.val_dataloader())[0], whole(plain.val_dataloader())[0])
    assert torch.equal(first_batch(mixed)[0], first_batch(rotated)[0])
    assert not torch.equal(first_batch(mixed)[0], first_batch(plain)[0])


def test_training_is_distorted_after_the_transfer_and_anew_each_epoch():
    data = ready(distortion="R", batch_size=32)
    raw = next(iter(data.train_dataloader()))
    assert isinstance(raw, Raw)
    assert raw.image.dtype == torch.uint8
    images, targets = data.on_after_batch_transfer(raw, 0)
    assert images.dtype == torch.float32
    assert torch.equal(targets, raw.target)
    torch.testing.assert_close(images.sum((1, 2, 3)), raw.image.float().sum((1, 2, 3)) / 255, rtol=0.02, atol=0.5)
    again, _ = data.on_after_batch_transfer(raw, 0)
    assert torch.equal(images, again)
    other, _ = data.on_after_batch_transfer(raw._replace(seed=raw.seed + 1), 0)
    assert not torch.equal(images, other)


def test_training_is_the_same_for_the_same_seed():
    one, two = (first_batch(ready(distortion="RTS", seed=3), epoch=2) for _ in range(2))
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    for data, epoch in ((ready(distortion="RTS", seed=4), 2), (ready(distortion="RTS", seed=3), 1)):
        assert not torch.equal(first_batch(data, epoch)[0], one[0])


def test_seed_follows_seed_everything(monkeypatch):
    monkeypatch.setitem(os.environ, "PL_GLOBAL_SEED", "11")
    assert torch.equal(first_batch(ready())[0], first_batch(ready(seed=11))[0])
    assert not torch.equal(first_batch(ready())[0], first_batch(ready(seed=0))[0])


def test_evaluation_batches_pass_through_the_transfer_hook():
    data = ready()
    batch = next(iter(data.val_dataloader()))
    assert data.on_after_batch_transfer(batch, 0) is batch


def test_set_lies_in_memory_as_one_uint8_tensor():
    data = ready(batch_size=8)
    images = data._sets["train"].images
    assert images.dtype == torch.uint8
    assert images.is_contiguous()
    assert images.untyped_storage().nbytes() == 1147 * 28 * 28


def test_setup_for_each_stage_reads_once():
    data = ready()
    before = data._sets["train"].images
    for stage in ("fit", "validate", "test", "predict"):
        data.setup(stage)
    assert data._sets["train"].images is before


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"source": "emnist"}, r"source one of digits, mnist; got 'emnist'"),
        ({"distortion": "RST"}, r"distortion one of none, R, RTS, .*or a Distortion; got 'RST'"),
        ({"evaluation_distortion": "RST"}, r"evaluation_distortion one of none, .*; got 'RST'"),
        ({"evaluation_distortion": "RTS"}, r"evaluation_distortion to images of \(28, 28\), .*; got \(42, 42\)"),
        ({"batch_size": 0}, "batch_size of at least 1, got 0"),
        ({"num_validation": 0}, "num_validation above 0 and below 1347, got 0"),
        ({"num_validation": 1347}, "num_validation above 0 and below 1347"),
        ({"num_validation": -5}, "num_validation above 0"),
    ],
)
def test_arguments_out_of_range(options, text):
    with pytest.raises(ValueError, match=text):
        ready(**options)
