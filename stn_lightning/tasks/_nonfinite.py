"""Notices a loss that is not finite, without waiting for the device at every step."""

from __future__ import annotations

import torch
from torch import Tensor

NEVER = -1


class NonFiniteLossError(ArithmeticError):
    """The training loss is not finite: training stops before the broken weights reach a checkpoint."""


class LossWatch:
    """Remembers, on the device of the loss, the first step at which it was not finite."""

    def __init__(self) -> None:
        self._first = torch.tensor(NEVER)

    def update(self, loss: Tensor, step: int) -> None:
        """Takes note of the loss of a step; does not synchronise."""
        self._first = self._first.to(loss.device)
        fresh = ~torch.isfinite(loss.detach()) & (self._first == NEVER)
        self._first = torch.where(fresh, step, self._first)

    def check(self, learning_rate: float) -> None:
        """Raises where a loss was not finite.

        Raises:
            NonFiniteLossError: naming the step.
        """
        first = int(self._first)
        if first != NEVER:
            raise NonFiniteLossError(
                f"the training loss is not finite since step {first} (learning rate {learning_rate:.3g}); training stops, the "
                f"last checkpoint is from before. A smaller learning rate, a smaller localisation_lr_scale or "
                f"trainer.gradient_clip_val may help"
            )
