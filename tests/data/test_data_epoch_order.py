"""Epochs that go on: each image once, whoever goes on with them, wherever they were interrupted."""

from itertools import islice, product

import pytest
import torch

from stn_lightning.data._batches import TrainingBatches
from stn_lightning.data._epoch_order import EpochOrder

N, BATCH = 107, 4


def loader(rank=0, world_size=1, epoch=2, state=None):
    images = torch.arange(N, dtype=torch.uint8).view(-1, 1, 1, 1)
    batches = TrainingBatches(images, torch.arange(N), BATCH, 3, rank, world_size)
    if state is not None:
        batches.load_state_dict(state)
    batches.set_epoch(epoch)
    return batches


def run(steps=None, **place):
    """Batches of an epoch up to a step, and the state behind them."""
    batches = loader(**place)
    return list(islice(batches, steps)), batches.state_dict()


def images_of(raws):
    return [i for raw in raws for i in raw.target.tolist()]


@pytest.mark.parametrize("world_size", [1, 2])
def test_epoch_that_goes_on_has_the_batches_that_were_left(world_size):
    for rank, steps in product(range(world_size), range(N // (BATCH * world_size) + 1)):
        whole, _ = run(rank=rank, world_size=world_size)
        first, state = run(steps, rank=rank, world_size=world_size)
        rest, _ = run(rank=rank, world_size=world_size, state=state)
        assert [raw.seed for raw in first + rest] == [raw.seed for raw in whole]
        assert images_of(first + rest) == images_of(whole)


def test_state_is_that_of_all_ranks():
    states = [run(5, rank=rank, world_size=3)[1] for rank in range(3)]
    assert states[0] == states[1] == states[2]
    assert states[0]["seen"] == 5 * 3 * BATCH


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3), (3, 2), (1, 4), (4, 1)])
def test_other_ranks_part_what_is_left(before, after):
    """What the epoch began with, each image once, and as many batches for each rank.

    Left out is what exceeds the batches that an epoch of so many ranks has.
    """
    together, most = BATCH * after, N // (BATCH * after)
    for steps in range(1, N // (BATCH * before) + 1):
        parts = [run(steps, rank=rank, world_size=before) for rank in range(before)]
        rests = [run(rank=rank, world_size=after, state=parts[0][1])[0] for rank in range(after)]
        assert len({len(rest) for rest in rests}) == 1
        expected = {i for rank in range(before) for i in images_of(run(rank=rank, world_size=before)[0])}
        seen = images_of(raw for part, _ in parts for raw in part) + images_of(raw for rest in rests for raw in rest)
        assert len(seen) == len(set(seen))
        assert set(seen) <= expected
        left = len(expected) - steps * BATCH * before
        assert len(expected - set(seen)) == max(left - most * together, 0) + left % together * (left % together < after)


def test_number_of_ranks_may_change_twice():
    parts, state = [], None
    for world_size, steps in ((2, 3), (1, 5), (3, None)):
        runs = [run(steps, rank=rank, world_size=world_size, state=state) for rank in range(world_size)]
        parts += [raw for raws, _ in runs for raw in raws]
        state = runs[0][1]
    assert sorted(images_of(parts)) == sorted(images_of(raw for r in range(2) for raw in run(rank=r, world_size=2)[0]))


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_batches_behind_and_left_make_an_epoch(world_size):
    for steps in range(N // BATCH + 1):
        batches = loader(world_size=world_size, state=run(steps)[1])
        behind = batches.behind
        assert 0 <= behind <= len(batches)
        assert behind + len(list(batches)) == (len(batches) if steps else len(batches) + behind)


def test_state_of_another_epoch_is_not_used():
    _, state = run(7, epoch=1)
    assert len(run(state=state, epoch=2)[0]) == N // BATCH


def test_state_is_used_once():
    batches = loader(state=run(7)[1])
    assert [len(list(batches)), len(list(batches))] == [N // BATCH - 7, N // BATCH]


def test_state_before_the_first_batch_is_what_was_loaded():
    _, state = run(7)
    assert loader(state=state).state_dict() == state


def test_another_set_is_refused():
    _, state = run(7)
    with pytest.raises(ValueError, match=r"expected 107 training images.*got 108"):
        EpochOrder(108, BATCH, 3).load_state_dict(state)
