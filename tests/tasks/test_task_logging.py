"""What is written is what was computed: the training of a plain loop, and only on the aligned steps."""

import csv
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.loggers import CSVLogger

EVERY, EPOCHS, STEPS = 5, 3, 7


def plain_loop(task, data):
    """Losses and errors of SGD in ten lines."""
    data.setup()
    optimizer = torch.optim.SGD(task.parameters(), lr=0.1)
    losses, errors = [], []
    for epoch in range(EPOCHS):
        batches = data.train_dataloader()
        batches.set_epoch(epoch)
        for _, raw in zip(range(STEPS), batches, strict=False):
            images, targets = data.on_after_batch_transfer(raw, 0)
            prediction = task.network(images).prediction
            loss = F.cross_entropy(prediction, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            errors.append((prediction.argmax(1) != targets).float().mean().item())
    return losses, errors


@pytest.fixture
def rows(make, digits, trainer, tmp_path):
    task = make(optimizer=partial(torch.optim.SGD, lr=0.1))
    logger = CSVLogger(tmp_path, name="", version="run")
    options = {"max_epochs": EPOCHS, "limit_train_batches": STEPS, "log_every_n_steps": EVERY, "num_sanity_val_steps": 0}
    trainer(logger=logger, **options).fit(task, digits())
    with (tmp_path / "run" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_rows_are_the_losses_of_a_plain_loop_at_the_aligned_steps(rows, make, digits):
    written = {int(row["step"]): row for row in rows if row["train/loss"]}
    losses, errors = plain_loop(make(), digits())
    assert sorted(written) == [4, 9, 14, 19]
    for step, row in written.items():
        assert float(row["train/loss"]) == pytest.approx(losses[step], rel=1e-5)
        assert float(row["train/error"]) == pytest.approx(errors[step], abs=1e-6)
    assert len({round(loss, 6) for loss in losses}) == len(losses)  # another step would be seen


def test_validation_is_written_once_an_epoch(rows):
    written = [int(row["step"]) for row in rows if row["val/error"]]
    assert written == [6, 13, 20]
    assert all(0 <= float(row["val/error"]) <= 1 for row in rows if row["val/error"])


def test_nothing_is_logged_on_the_other_steps(make, digits, trainer, monkeypatch):
    """Each ``self.log`` costs 0.35 ms, written or not."""
    task = make()
    steps = []
    log = task.log
    monkeypatch.setattr(task, "log", lambda name, *a, **k: (steps.append((name, task.global_step)), log(name, *a, **k)))
    trainer(max_epochs=1, limit_train_batches=12, limit_val_batches=0, log_every_n_steps=EVERY).fit(task, digits())
    assert sorted({step for name, step in steps if name.startswith("train/")}) == [4, 9]
