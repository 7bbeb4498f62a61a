"""Metrics of sequences."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class SequenceErrors(Metric):
    """Shares of wrong sequences and of wrong positions, in [0, 1].

    ``compute`` returns a dict of scalars: ``error``, share of sequences that are not right in every position;
    ``error_positions``, share of positions that are not right, of all together; ``error_position_I``, share of sequences wrong
    in position I = 1, ..., L; ``error_length_N``, ``error`` of the sequences of N symbols, for each N that was seen.

    Args:
        max_length: L, number of positions.
        null: the class behind the end of a sequence.
    """

    full_state_update = False
    higher_is_better = False
    wrong: Tensor
    seen: Tensor
    wrong_positions: Tensor

    def __init__(self, max_length: int, null: int) -> None:
        super().__init__()
        self.null = null
        self.add_state("wrong", torch.zeros(max_length + 1, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("seen", torch.zeros(max_length + 1, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("wrong_positions", torch.zeros(max_length, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, target: Tensor) -> None:
        """Takes note of sequences.

        Args:
            predicted: (B, L) classes.
            target: (B, L) classes.
        """
        differs = predicted != target
        length = (target != self.null).sum(1)
        self.wrong += torch.bincount(length[differs.any(1)], minlength=len(self.wrong))
        self.seen += torch.bincount(length, minlength=len(self.seen))
        self.wrong_positions += differs.sum(0)

    def compute(self) -> dict[str, Tensor]:
        total = self.seen.sum()
        errors = {"error": self.wrong.sum() / total, "error_positions": (self.wrong_positions / total).mean()}
        errors |= {f"error_position_{i}": wrong / total for i, wrong in enumerate(self.wrong_positions, 1)}
        errors |= {f"error_length_{n}": self.wrong[n] / seen for n, seen in enumerate(self.seen) if seen}
        return errors


class Coverage(Metric):
    """Largest share of predictions, the most confident first, that is right at an accuracy (Goodfellow et al. 2014).

    Predictions of equal confidence are taken together: a threshold of confidence cannot part them. Without predictions it is
    NaN; of several processes, each must have seen some.

    Args:
        accuracy: the accuracy that the share has at least, in (0, 1].
    """

    full_state_update = False
    higher_is_better = True
    confidence: list[Tensor]
    right: list[Tensor]

    def __init__(self, accuracy: float = 0.98) -> None:
        super().__init__()
        if not 0 < accuracy <= 1:
            raise ValueError(f"expected accuracy in (0, 1], got {accuracy}")
        self.accuracy = accuracy
        self.add_state("confidence", [], dist_reduce_fx="cat")
        self.add_state("right", [], dist_reduce_fx="cat")

    def update(self, confidence: Tensor, right: Tensor) -> None:
        """Takes note of predictions.

        Args:
            confidence: (B,) numbers that grow with confidence.
            right: (B,) whether each is right.
        """
        self.confidence.append(confidence)
        self.right.append(right)

    def compute(self) -> Tensor:
        if len(self.confidence) == 0:
            return torch.tensor(torch.nan)
        confidence, order = dim_zero_cat(self.confidence).sort(descending=True)
        right = dim_zero_cat(self.right)[order]
        count = torch.arange(1, len(right) + 1, device=right.device)
        good = right.cumsum(0).double() >= self.accuracy * count
        good[:-1] &= confidence[:-1] > confidence[1:]
        return (count * good).max() / len(right)
