"""Notices a loss that is not finite, without waiting for the device at every step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from stn_lightning.checkpoints import first_not_finite

NEVER = -1
ADVICE = (
    "training stops, the last checkpoint, if there is one, is from before. A smaller learning rate, a smaller "
    "localisation_lr_scale or trainer.gradient_clip_val may help"
)


class NonFiniteLossError(ArithmeticError):
    """The training loss is not finite: training stops before the broken weights reach a checkpoint."""


def check_weights(state_dict: Mapping[str, Tensor], step: int) -> None:
    """Refuses to keep weights that are not finite: the last update may break them after a finite loss.

    Raises:
        NonFiniteLossError: naming the step and the first broken weight.
    """
    if broken := first_not_finite(state_dict):
        raise NonFiniteLossError(f"the weights are not finite after step {step - 1} ({broken}); {ADVICE}")


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
                f"the training loss is not finite since step {first} (learning rate {learning_rate:.3g}); {ADVICE}"
            )
