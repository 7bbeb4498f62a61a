"""The hard samples of a task that reads numbers, judged by the task."""

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule

from stn_lightning.callbacks import HardSamples, captions

SIDE, GAP = 84, 4


def test_hard_and_wrong_numbers_are_those_that_the_task_says(reader, numbers, loader, trainer, pictures, window):
    task, (images, targets) = reader(input=window(scale=0.8)), numbers(9)
    batches = [(images[i : i + 3], targets[i : i + 3]) for i in (0, 3, 6)]
    callback = HardSamples(num_images=4)
    trainer(callback).validate(task, loader(batches), verbose=False)
    with torch.inference_mode():
        verdict = task.eval().judge(task(images), targets)
    order = verdict.loss.argsort(descending=True)[:4].tolist()
    assert [s.target for s in callback._hardest] == [verdict.target[i] for i in order]
    wrong = (~verdict.right).nonzero().flatten()[:4].tolist()
    found = pictures()
    for title, chosen in (("hardest", order), ("wrong", wrong)):
        heading = captions([f"{verdict.target[i]}>{verdict.predicted[i]}" for i in chosen], SIDE)
        drawn = found[f"{title}/input"]
        assert np.array_equal(drawn[: heading.shape[1]], heading.permute(1, 2, 0).numpy())


def test_numbers_without_a_transformer_are_shown_as_they_are(reader, numbers, loader, trainer, pictures):
    trainer(HardSamples(num_images=3)).validate(reader(), loader([numbers(5)]), verbose=False)
    assert {name: picture.shape for name, picture in pictures().items()} == {
        "hardest/input": (14 + SIDE + GAP, 3 * (SIDE + GAP), 3),
        "wrong/input": (14 + SIDE + GAP, 3 * (SIDE + GAP), 3),
    }


class Plain(LightningModule):
    def validation_step(self, batch, batch_idx):
        raise NotImplementedError


def test_a_module_that_cannot_judge_is_refused(trainer, loader):
    with pytest.raises(ValueError, match=r"expected a Task, .* got Plain"):
        trainer(HardSamples()).validate(Plain(), loader([0]), verbose=False)
