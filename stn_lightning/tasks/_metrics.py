"""Metrics of the tasks."""

from __future__ import annotations

from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy


class ErrorRate(MulticlassAccuracy):
    """Share of wrong predictions, in [0, 1].

    Args:
        num_classes: number of classes.
    """

    higher_is_better = False

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes, average="micro")

    def compute(self) -> Tensor:
        accuracy: Tensor = super().compute()
        return 1 - accuracy
