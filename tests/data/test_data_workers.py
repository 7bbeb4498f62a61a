"""Real worker processes: ones that die, ones that are frozen, and ones that go on in the middle of an epoch."""

import os
import signal
import sys
from functools import partial
from itertools import islice

import pytest
import torch

from stn_lightning.data import Birds
from stn_lightning.data._epoch_order import EpochOrder
from stn_lightning.data._worker_batches import TrainingWorkerBatches, WorkerBatches, in_turn

if sys.platform != "linux":
    pytest.skip("signals to workers as Linux has them", allow_module_level=True)

COUNT, BATCH = 40, 2


def read(diary, ask):
    with diary.open("a") as file:
        file.write(f"{ask.item}\n")
    return ask.item


def read_or_signal(folder, way, ask):
    (folder / str(os.getpid())).touch()
    if ask.item == 5:
        os.kill(os.getpid(), way)
    return ask.item


def training(diary, state=None):
    batches = TrainingWorkerBatches(partial(read, diary), list, EpochOrder(COUNT, BATCH, 0), num_workers=2)
    if state is not None:
        batches.load_state_dict(state)
    batches.set_epoch(1)
    return batches


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize(
    ("way", "error", "message"),
    [
        pytest.param(signal.SIGKILL, ChildProcessError, r"worker process .* died \(exit code -9\)", id="killed"),
        pytest.param(signal.SIGSTOP, TimeoutError, "nothing in 2 s", id="frozen"),
    ],
)
def test_dead_and_frozen_workers_are_errors_and_all_end(way, error, message, tmp_path):
    batches = WorkerBatches(partial(read_or_signal, tmp_path, way), list, in_turn(COUNT, BATCH), num_workers=2, timeout=2)
    with pytest.raises(error, match=message):
        list(batches)
    workers = [int(file.name) for file in tmp_path.iterdir()]
    assert workers
    assert all(map(gone, workers))
    batches.close()


def test_what_workers_read_ahead_is_not_seen_and_nothing_is_lost_or_read_twice(tmp_path):
    whole = [*training(tmp_path / "whole")]
    first = training(tmp_path / "first")
    seen = [*islice(first, 7)]
    state = first.state_dict()
    first.close()
    assert state["seen"] == 7 * BATCH
    assert len((tmp_path / "first").read_text().splitlines()) > 7 * BATCH
    rest = [*training(tmp_path / "rest", state)]
    assert seen + rest == whole
    read_again = [int(line) for line in (tmp_path / "rest").read_text().splitlines()]
    assert sorted(read_again) == sorted(item for batch in rest for item in batch)


def test_workers_draw_nothing_from_the_global_generator(tmp_path):
    before = torch.get_rng_state()
    batches = training(tmp_path / "diary")
    for _ in range(2):
        assert len(list(batches)) == COUNT // BATCH
    batches.close()
    assert torch.equal(torch.get_rng_state(), before)


def test_data_module_hands_its_timeout_on(tmp_path):
    data = Birds(
        root=str(tmp_path), size=28, classes=2, images_per_class=(4, 1), batch_size=2, num_workers=1, worker_timeout=7
    )
    data.prepare_data()
    data.setup()
    assert [loader.timeout for loader in (data.train_dataloader(), data.val_dataloader())] == [7, 7]
    with pytest.raises(ValueError, match="worker_timeout above 0"):
        Birds(worker_timeout=0)
