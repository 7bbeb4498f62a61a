"""DigitSums on the embedded digits: pairs, their sums, and that each digit is distorted on its own."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from stn_lightning.data import DigitSums
from stn_lightning.data._batches import Raw


def ready(**options):
    data = DigitSums(**options)
    data.setup()
    return data


def drawn(data, raw):
    """A raw batch, with its second digits."""
    return data.on_before_batch_transfer(raw, 0)


def seen(data, raw):
    """A raw batch as the network sees it."""
    return data.on_after_batch_transfer(drawn(data, raw), 0)


def first_batch(data, epoch=0):
    loader = data.train_dataloader()
    loader.set_epoch(epoch)
    return seen(data, next(iter(loader)))


def whole(batches):
    images, targets = zip(*batches, strict=True)
    return torch.cat(images), torch.cat(targets)


def labels(data, split, images):
    """The classes (N, 2) of images (N, 2, 28, 28) of uint8, each looked up in a split."""
    known = {image.numpy().tobytes(): int(label) for image, label in zip(*data._sets[split], strict=True)}
    return torch.tensor([[known[digit.numpy().tobytes()] for digit in pair] for pair in images])


def test_every_batch_has_two_channels_of_the_papers_size():
    data = ready(batch_size=16)
    assert (data.input_shape, data.num_classes) == ((2, 42, 42), 19)
    for images, targets in [first_batch(data), next(iter(data.val_dataloader())), next(iter(data.test_dataloader()))]:
        assert images.shape == (16, 2, 42, 42)
        assert images.dtype == torch.float32
        assert targets.shape == (16,)
        assert images.min() >= 0
        assert (images.amax((2, 3)) > 0.5).all()


@pytest.mark.parametrize("split", ["validation", "test"])
def test_evaluated_class_is_the_sum_of_two_digits_of_the_split(split):
    data = ready(distortion="none")
    images, targets = whole(data._evaluation(split))
    pairs = labels(data, split, (images * 255).round().to(torch.uint8))
    assert torch.equal(targets, pairs.sum(1))
    assert torch.equal(pairs[:, 0], data._sets[split].targets)
    assert not torch.equal(pairs[:, 0], pairs[:, 1])


def test_trained_class_is_the_sum_of_two_training_digits():
    data = ready()
    for raw in data.train_dataloader():
        pair = drawn(data, raw)
        assert (pair.image.dtype, pair.seed) == (torch.uint8, raw.seed)
        assert torch.equal(pair.target, labels(data, "train", pair.image).sum(1))
        assert torch.equal(pair.image[:, :1], raw.image)


def test_sums_are_distributed_as_those_of_independent_digits():
    data = ready(batch_size=1147)
    loader = data.train_dataloader()
    sums = []
    for epoch in range(10):
        loader.set_epoch(epoch)
        sums += [drawn(data, raw).target for raw in loader]
    digits = np.bincount(data._sets["train"].targets) / 1147
    observed = np.bincount(torch.cat(sums), minlength=19)
    assert chisquare(observed, observed.sum() * np.convolve(digits, digits)).pvalue > 0.01


def test_each_digit_is_distorted_on_its_own():
    """The same digit in both channels comes out as two, and as many ways as there are images."""
    data = ready(distortion="R")
    digit = data._sets["train"].images[:1].expand(20, 2, -1, -1)
    images, _ = data.on_after_batch_transfer(Raw(digit, torch.zeros(20), 5), 0)
    assert len({channel.numpy().tobytes() for channel in images.flatten(0, 1)}) == 40
    torch.testing.assert_close(images.sum((2, 3)), digit.float().sum((2, 3)) / 255, rtol=0.02, atol=0.5)


def test_channels_keep_their_places():
    data = ready(distortion="R")
    pair = drawn(data, next(iter(data.train_dataloader())))
    images, _ = data.on_after_batch_transfer(pair, 0)
    torch.testing.assert_close(images.sum((2, 3)), pair.image.float().sum((2, 3)) / 255, rtol=0.02, atol=0.5)


def test_training_is_a_function_of_seed_and_epoch():
    one, two = (first_batch(ready(seed=3), epoch=2) for _ in range(2))
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    for data, epoch in ((ready(seed=4), 2), (ready(seed=3), 1)):
        assert not torch.equal(first_batch(data, epoch)[0], one[0])


def test_second_digits_are_drawn_anew_for_every_seed_of_a_batch():
    data = ready()
    raw = next(iter(data.train_dataloader()))
    one, again, other = (drawn(data, raw._replace(seed=seed)).image[:, 1] for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_resumed_epoch_goes_on_with_the_same_pairs():
    data = ready(batch_size=100)
    loader = data.train_dataloader()
    batches, state = [], None
    for i, raw in enumerate(loader):
        batches.append(seen(data, raw))
        state = loader.state_dict() if i == 4 else state
    other = ready(batch_size=100)
    resumed = other.train_dataloader()
    resumed.load_state_dict(state)
    rest = [seen(other, raw) for raw in resumed]
    assert len(rest) == len(batches) - 5 == 6
    for (images, targets), (as_before, sums) in zip(rest, batches[5:], strict=True):
        assert torch.equal(images, as_before)
        assert torch.equal(targets, sums)


def test_evaluation_depends_on_its_own_seed_alone():
    reference = whole(ready().test_dataloader())
    for options in ({"batch_size": 7}, {"seed": 3}):
        for a, b in zip(whole(ready(**options).test_dataloader()), reference, strict=True):
            assert torch.equal(a, b), options
    other = whole(ready(evaluation_seed=1).test_dataloader())
    assert not torch.equal(other[1], reference[1])
