"""Scenes show a digit of their class where their box is, and what they claim elsewhere."""

import pytest
import torch

from stn_lightning.data import DigitScenes
from stn_lightning.data._sources import read_embedded_digits


def scenes(**options):
    data = DigitScenes(**{"digit": 3, "num_images": 8, "batch_size": 4, **options})
    data.setup()
    return data


def evaluated(data):
    (batch,) = data.test_dataloader()
    return data.on_after_batch_transfer(batch, 0)


def in_box(images, boxes):
    """What is inside (B, 1, 28, 28), and the images without it."""
    corners = ((boxes + 1) / 2 * images.shape[-1]).round().long().tolist()
    rest = images.clone()
    inside = []
    for image, (left, top, right, bottom) in zip(rest, corners, strict=True):
        inside.append(image[:, top:bottom, left:right].clone())
        image[:, top:bottom, left:right] = 0
    return torch.stack(inside), rest


def test_box_holds_a_test_digit_of_the_class_and_the_rest_is_empty():
    images, boxes, _ = evaluated(scenes())
    inside, rest = in_box(images, boxes)
    published = read_embedded_digits()["test"]
    known = published.images[published.targets == 3] / 255
    same = (inside[:, None] == known[None]).flatten(2).all(2)
    assert (images.shape, inside.shape) == ((8, 1, 84, 84), (8, 1, 28, 28))
    assert same.any(1).all()
    assert len(same.int().argmax(1).unique()) == 8  # no digit twice
    assert not rest.any()


def test_patches_are_added_to_the_scene_and_clamped():
    images, boxes, _ = evaluated(scenes(patches=300))
    _, rest = in_box(images, boxes)
    assert (rest > 0).flatten(1).float().mean(1).min() > 0.3  # 300 patches of 36 pixels, of which a half is background
    assert images.max() == 1
    few, without = (evaluated(scenes(patches=n))[0] for n in (1, 0))
    assert not torch.equal(few, without)
    assert (images[0] >= without[0]).all()  # the first digit and its place are drawn before all patches


def test_places_fill_the_scene():
    _, boxes, _ = evaluated(scenes(source="digits", num_images=40, size=40))
    corners = ((boxes + 1) * 20).round().long()
    assert (corners[:, 2:] - corners[:, :2] == 28).all()
    assert corners[:, :2].amin(0).tolist() == [0, 0]
    assert corners[:, :2].amax(0).tolist() == [12, 12]


def test_elsewhere_is_a_window_of_its_image():
    data = scenes(patches=16)
    images, _, elsewhere = evaluated(data)
    windows = images.unfold(2, 28, 1).unfold(3, 28, 1).flatten(1, 3)
    assert (windows == elsewhere).flatten(2).all(2).any(1).all()
    assert torch.equal(elsewhere, evaluated(data)[2])


def test_training_sees_the_scenes_and_other_windows_at_every_step():
    data = scenes()
    loader = data.train_dataloader()
    epochs = []
    for epoch in (0, 1):
        loader.set_epoch(epoch)
        batches = [data.on_after_batch_transfer(batch, 0) for batch in loader]
        epochs.append([torch.cat(part) for part in zip(*batches, strict=True)])
    sums = [sorted(images.sum((1, 2, 3)).tolist()) for images, _ in epochs]
    assert sums[0] == sums[1] == sorted(evaluated(data)[0].sum((1, 2, 3)).tolist())
    batch = next(iter(loader))
    first, other, again = (data.on_after_batch_transfer(batch._replace(seed=seed), 0)[1] for seed in (1, 2, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_scenes_are_a_function_of_evaluation_seed_and_digit():
    images = [evaluated(scenes(**options))[0] for options in ({}, {"seed": 5}, {"evaluation_seed": 1}, {"digit": 4})]
    assert torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])
    assert not torch.equal(images[0], images[3])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"source": "letters"}, "source one of digits, mnist"),
        ({"digit": 10}, "digit from 0 to 9, got 10"),
        ({"patches": -1}, "patches=-1"),
        ({"size": 27}, "size=27"),
        ({"batch_size": 1}, "batch_size from 2 to num_images, 8; got 1"),
        ({"batch_size": 9}, "batch_size from 2 to num_images, 8; got 9"),
        ({"num_images": 99}, "num_images of at most"),
    ],
)
def test_argument_out_of_range_is_named(options, named):
    with pytest.raises(ValueError, match=named):
        scenes(**options)
