"""DigitSequences on the embedded digits: rows as the authors draw them, found again by OpenCV's template matching."""

import cv2
import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from stn_lightning.data import DigitSequences
from stn_lightning.data._batches import Raw
from stn_lightning.data._cluttered_rows import cluttered_rows


def ready(**options):
    data = DigitSequences(**options)
    data.setup()
    return data


def seen(data, raw):
    """A raw batch as the network sees it."""
    return data.on_after_batch_transfer(data.on_before_batch_transfer(raw, 0), 0)


def first_batch(data, epoch=0):
    loader = data.train_dataloader()
    loader.set_epoch(epoch)
    return seen(data, next(iter(loader)))


def whole(batches):
    images, targets = zip(*batches, strict=True)
    return torch.cat(images), torch.cat(targets)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def rows():
    """Digits of noise (B, 3, 28, 28), without a second like it; rows of them (B, 100, 100); and where each is (B, 3, 2)."""
    digits = torch.randint(1, 256, (300, 3, 28, 28), generator=generator(1), dtype=torch.uint8)
    images = cluttered_rows(digits, generator())[:, 0]
    corners = np.array([[corner(image, digit) for digit in row] for image, row in zip(images, digits, strict=True)])
    return digits.numpy(), images.numpy(), corners


def corner(image, digit):
    """(top, left) of what is most like a digit."""
    match = cv2.matchTemplate(image.numpy(), digit.numpy(), cv2.TM_CCOEFF_NORMED)
    return np.unravel_index(match.argmax(), match.shape)


def test_digits_stand_side_by_side(rows):
    _, _, corners = rows
    left = corners[:, :, 1]
    assert (left == left[:, :1] + [0, 28, 56]).all()
    assert chisquare(np.bincount(left[:, 0], minlength=16)).pvalue > 0.01  # 0 to 15, each as often


def test_digits_lie_on_a_line_that_ends_at_the_edge(rows):
    _, _, corners = rows
    top = corners[:, :, 0]
    inside = ((top > 0) & (top < 72)).all(1)
    slope = np.diff(top, axis=1)
    assert (slope[inside, 0] == slope[inside, 1]).all()
    assert set(range(-12, 12)) <= set(slope[inside, 0]) <= set(range(-14, 14))
    assert (top.min(), top.max()) == (0, 72)


def test_digits_are_not_hidden_by_the_clutter(rows):
    digits, images, corners = rows
    for row, image, places in zip(digits, images, corners, strict=True):
        for digit, (top, left) in zip(row, places, strict=True):
            assert (image[top : top + 28, left : left + 28] >= digit).all()


def test_patches_are_cut_out_of_digits_and_lie_anywhere(rows):
    """Where a patch lies alone, the digits of the batch have one like it."""
    digits, images, corners = rows
    lonely, heights = 0, []
    pixels = torch.from_numpy(digits).flatten(0, 1).float()
    windows = pixels[:, None].unfold(2, 9, 1).unfold(3, 9, 1)[:, 0]  # (900, 20, 20, 9, 9)
    first = {tuple(w) for w in windows[..., 0, :3].flatten(0, 2).int().tolist()}
    for image, places in zip(images[:60].copy(), corners, strict=False):
        for top, left in places:
            image[top : top + 28, left : left + 28] = 0
        count, _, boxes, _ = cv2.connectedComponentsWithStats((image > 0).astype(np.uint8))
        assert count - 1 <= 8
        for left, top, width, height, area in boxes[1:]:
            if (width, height, area) == (9, 9, 81):
                lonely += 1
                heights.append(top)
                assert tuple(image[top, left : left + 3].tolist()) in first
    assert lonely > 60
    assert min(heights) < 10
    assert max(heights) > 80


def test_every_row_has_three_digits_and_eight_patches():
    """Their values are added: of digits that are 10 everywhere, the sum is known."""
    rows = cluttered_rows(torch.full((50, 3, 28, 28), 10, dtype=torch.uint8), generator())
    assert (rows.sum((1, 2, 3)) == 10 * (3 * 28 * 28 + 8 * 9 * 9)).all()


def test_sums_are_clamped_and_do_not_overflow():
    rows = cluttered_rows(torch.full((50, 3, 28, 28), 200, dtype=torch.uint8), generator())
    assert rows.unique().tolist() == [0, 200, 255]


def test_every_batch_has_the_shape_that_the_data_say():
    data = ready(batch_size=16)
    assert (data.input_shape, data.num_classes, data.max_length) == ((1, 100, 100), 10, 3)
    evaluated = (
        data.on_after_batch_transfer(next(iter(loader())), 0) for loader in (data.val_dataloader, data.test_dataloader)
    )
    for images, targets in [first_batch(data), *evaluated]:
        assert (images.shape, images.dtype) == ((16, 1, 100, 100), torch.float32)
        assert (targets.shape, targets.dtype) == ((16, 3), torch.int64)
        assert images.min() == 0
        assert images.max() == 1


def test_targets_are_the_digits_from_left_to_right():
    data = ready()
    known = {image.numpy().tobytes(): int(label) for image, label in zip(*data._sets["train"], strict=True)}
    raw = next(iter(data.train_dataloader()))
    drawn = data.on_before_batch_transfer(raw, 0)
    assert torch.equal(drawn.image[:, :1], raw.image)
    assert torch.equal(drawn.target, torch.tensor([[known[digit.numpy().tobytes()] for digit in row] for row in drawn.image]))
    images, targets = data.on_after_batch_transfer(drawn, 0)
    assert torch.equal(targets, drawn.target)
    pairs = zip((images[:40, 0] * 255).round().to(torch.uint8), drawn.image, strict=False)
    in_order = [np.diff([corner(image, digit)[1] for digit in row]).tolist() == [28, 28] for image, row in pairs]
    assert sum(in_order) > 30  # clutter is at times more like a digit than the digit in clutter


@pytest.mark.parametrize("split", ["validation", "test"])
def test_first_digits_of_evaluation_are_those_of_the_split(split):
    data = ready()
    images, targets = whole(data._evaluation(split))
    digits, labels = data._sets[split]
    assert torch.equal(targets[:, 0], labels)
    assert targets[:, 1:].unique().tolist() == list(range(10))
    on_the_left = [corner(image, digit)[1] < 16 for image, digit in zip(images[:40, 0], digits[:40, 0], strict=True)]
    assert sum(on_the_left) > 30


def test_training_is_a_function_of_seed_and_epoch():
    one, two = (first_batch(ready(seed=3), epoch=2) for _ in range(2))
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    for data, epoch in ((ready(seed=4), 2), (ready(seed=3), 1)):
        assert not torch.equal(first_batch(data, epoch)[0], one[0])


def test_rows_are_drawn_anew_for_every_seed_of_a_batch():
    data = ready()
    raw = next(iter(data.train_dataloader()))
    one, again, other = (data.on_before_batch_transfer(Raw(raw.image, raw.target, seed), 0) for seed in (1, 1, 2))
    assert torch.equal(one.target, again.target)
    assert not torch.equal(one.target, other.target)
    assert not torch.equal(*(data.on_after_batch_transfer(one._replace(seed=seed), 0)[0] for seed in (1, 2)))


def test_evaluation_depends_on_its_own_seed_alone():
    reference = whole(ready().test_dataloader())
    for options in ({"batch_size": 7}, {"seed": 3}):
        for a, b in zip(whole(ready(**options).test_dataloader()), reference, strict=True):
            assert torch.equal(a, b), options
    for a, b in zip(whole(ready(evaluation_seed=1).test_dataloader()), reference, strict=True):
        assert not torch.equal(a, b)
