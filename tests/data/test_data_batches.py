"""Batches: who sees which image when, as functions of (seed, epoch, step, rank) alone."""

from itertools import product

import pytest
import torch

from stn_lightning.data._batches import EvaluationBatches, TrainingBatches
from stn_lightning.data._seeds import derived_seed

N = 53


def images(count=N):
    return torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2), torch.arange(count)


def training(seed=0, epoch=0, rank=0, world_size=1, batch_size=5):
    batches = TrainingBatches(*images(), batch_size, seed, rank, world_size)
    batches.set_epoch(epoch)
    return list(batches)


def test_seeds_of_different_keys_differ():
    """Zeros at the end of a key count too, and so does the purpose: an epoch's order is not its first distortion."""
    numbers = [*product(range(3), range(5), range(20), range(4)), (0,), (0, 0), (0, 0, 0), (1,), (1, 0)]
    keys = [(purpose, *key) for purpose in ("order", "distortion", "validation", "test") for key in numbers]
    seeds = {derived_seed(*key) for key in keys}
    assert len(seeds) == len(keys)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_same_seed_same_batches():
    for one, two in zip(training(seed=4, epoch=2), training(seed=4, epoch=2), strict=True):
        assert torch.equal(one.image, two.image)
        assert torch.equal(one.target, two.target)
        assert one.seed == two.seed


def test_iterating_again_gives_the_same_epoch():
    batches = TrainingBatches(*images(), 5, 0)
    assert [raw.seed for raw in batches] == [raw.seed for raw in batches]


@pytest.mark.parametrize("change", [{"seed": 1}, {"epoch": 1}])
def test_another_seed_or_epoch_gives_another_order_and_other_distortions(change):
    one, two = training(), training(**change)
    assert not torch.equal(torch.cat([raw.target for raw in one]), torch.cat([raw.target for raw in two]))
    assert not {raw.seed for raw in one} & {raw.seed for raw in two}


def test_every_step_and_rank_has_its_own_distortions():
    seeds = [raw.seed for epoch in range(3) for rank in range(3) for raw in training(epoch=epoch, rank=rank, world_size=3)]
    assert len(set(seeds)) == len(seeds) == 3 * 3 * (N // 15)


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_ranks_part_an_epoch(world_size):
    """No image twice in an epoch, none of another rank's, and as many steps for each."""
    runs = [training(rank=rank, world_size=world_size) for rank in range(world_size)]
    seen = torch.cat([raw.target for run in runs for raw in run])
    steps = N // (5 * world_size)
    assert [len(run) for run in runs] == [steps] * world_size
    assert all(len(raw.target) == 5 for run in runs for raw in run)
    assert len(set(seen.tolist())) == len(seen) == steps * 5 * world_size


def test_incomplete_batch_is_left_out_and_another_one_each_epoch():
    left = [set(range(N)) - set(torch.cat([raw.target for raw in training(epoch=epoch)]).tolist()) for epoch in range(4)]
    assert all(len(rest) == N % 5 for rest in left)
    assert len({tuple(sorted(rest)) for rest in left}) > 1


def test_images_and_targets_stay_together_and_uint8():
    for raw in training():
        assert raw.image.dtype == torch.uint8
        assert torch.equal(raw.image[:, 0, 0, 0].long(), raw.target)


@pytest.mark.parametrize(("batch_size", "world_size"), [(54, 1), (27, 2)])
def test_too_few_images_for_a_batch(batch_size, world_size):
    with pytest.raises(ValueError, match=r"at least 54 training images.*got 53"):
        training(batch_size=batch_size, world_size=world_size)


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("batch_size", [1, 8, 53, 100])
def test_evaluation_sees_each_image_once(world_size, batch_size):
    seen = []
    for rank in range(world_size):
        batches = EvaluationBatches(*images(), batch_size, rank, world_size)
        parts = list(batches)
        assert len(parts) == len(batches)
        assert all(torch.equal(x[:, 0, 0, 0].long(), y) for x, y in parts)
        assert all(len(y) <= batch_size for _, y in parts)
        seen += torch.cat([y for _, y in parts]).tolist()
    assert sorted(seen) == list(range(N))


def test_evaluation_is_in_order():
    assert torch.cat([y for _, y in EvaluationBatches(*images(), 8)]).tolist() == list(range(N))


def test_batches_of_evaluation_are_slices():
    batches = EvaluationBatches(*images(), 8)
    first, _ = next(iter(batches))
    assert first.untyped_storage().data_ptr() == batches.images.untyped_storage().data_ptr()


def test_fewer_images_than_processes_are_refused():
    with pytest.raises(ValueError, match="an image for each of 3 processes, got 2"):
        EvaluationBatches(torch.zeros(2, 1, 4, 4), torch.zeros(2), 1, rank=0, world_size=3)
