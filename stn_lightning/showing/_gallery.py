"""Which images of a set are shown: the most certain, the least certain, and the wrong ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stn_lightning.callbacks._in_a_row import half_pixel, has_align_corners
from stn_lightning.callbacks._predictions import FILE, rows
from stn_lightning.callbacks._samples import warps_of
from stn_lightning.networks import Output
from stn_lightning.spatial_transformer import Warped
from stn_lightning.tasks import Task

CONFIDENCE = "confidence"


class Sample(NamedTuple):
    """An image and what became of it.

    Attributes:
        number: in the set, from 0.
        name: of its file; None where it has none.
        image: (C, H, W).
        warps: what each transformer made of it, as a batch of one; grids are as ``align_corners=False`` has them.
        predicted: in words.
        confidence: probability of the prediction.
        target: in words; None where it is not known.
        wrong: whether the prediction is; False where the target is not known.
    """

    number: int
    name: str | None
    image: Tensor
    warps: dict[str, Warped]
    predicted: str
    confidence: float
    target: str | None
    wrong: bool


def looked_at(task: Task, batches: Iterable[Any]) -> Iterator[Sample]:
    """Each image of some batches with what a task makes of it.

    Args:
        task: whose ``predict_step`` gives ``confidence``.
        batches: (images, targets, ...) or, as ``data.Named`` has them, images and names.

    Raises:
        ValueError: for a task without a confidence.
    """
    number = 0
    for batch in batches:
        predicted, output = _predicted(task, batch)
        images, second = batch[:2]
        verdict = task.judge(output, second) if isinstance(second, Tensor) else None
        output = output._replace(warps=half_pixel(images, output.warps, has_align_corners(task)))
        for i, row in enumerate(rows(predicted)):
            name, confidence = row.pop(FILE, None), row.pop(CONFIDENCE)
            words = verdict.predicted[i] if verdict else " ".join(map(str, row.values()))
            yield Sample(
                number,
                name,
                images[i].clone(),  # a view would keep the whole batch
                warps_of(output, i),
                words,
                confidence,
                verdict.target[i] if verdict else None,
                bool(verdict and not verdict.right[i]),
            )
            number += 1


def _predicted(task: Task, batch: Any) -> tuple[dict[str, Any], Output]:
    """What a task predicts of a batch, and the output of the network that it read it from."""
    outputs: list[Output] = []
    with torch.inference_mode(), task.register_forward_hook(lambda module, given, output: outputs.append(output)):
        predicted = task.predict_step(batch, 0)
    if not isinstance(predicted, dict) or CONFIDENCE not in predicted or not outputs:
        raise ValueError(f"expected predict_step of {type(task).__name__} to give {CONFIDENCE!r}")
    return predicted, outputs[0]


class Gallery:
    """Keeps the images worth a look, whatever the length of the set.

    Args:
        count: images of each kind.

    Raises:
        ValueError: for a ``count`` below 1.
    """

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"expected count of at least 1, got {count}")
        self.count = count
        self.seen = self.wrong = 0
        self._most: list[Sample] = []
        self._least: list[Sample] = []
        self._wrong: list[Sample] = []

    def add(self, sample: Sample) -> None:
        """Takes note of an image."""
        self.seen += 1
        self.wrong += sample.wrong
        self._most = _first(self._most, sample, -1, self.count)
        self._least = _first(self._least, sample, 1, self.count)
        if sample.wrong:
            self._wrong = _first(self._wrong, sample, -1, self.count)

    def groups(self) -> dict[str, list[Sample]]:
        """What is shown, by its kind: wrong ones by falling confidence; few images are not both most and least certain."""
        half = -(-self.seen // 2)
        groups = {
            "most certain": self._most[:half],
            "least certain": self._least[: self.seen - half],
            "wrong, the most certain first": self._wrong,
        }
        return {kind: samples for kind, samples in groups.items() if samples}


def _first(samples: list[Sample], sample: Sample, sign: int, count: int) -> list[Sample]:
    """The first samples by confidence, rising or falling, and then by number: one order is the reverse of the other."""
    return sorted([*samples, sample], key=lambda s: (sign * s.confidence, sign * s.number))[:count]
