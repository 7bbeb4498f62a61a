"""Numbers as sequences of digits: reading them from logits, and writing them as text."""

from __future__ import annotations

import torch
from torch import Tensor


def read_numbers(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The most probable number: digits, then null to the end.

    Position by position the most probable class may put a digit behind a null; such a sequence is no number. Of all that are,
    this is the one with the largest product of the positions' probabilities (Goodfellow et al. 2014, section 4).

    Args:
        logits: (B, L, D + 1), null last.

    Returns:
        The number (B, L), 0 to D - 1 and then D for null, and its probability (B,).
    """
    log_probability = logits.float().log_softmax(-1)
    digit, digits = log_probability[..., :-1].max(-1)
    null = log_probability[..., -1]
    start = digit.new_zeros(len(digit), 1)
    before = torch.cat([start, digit.cumsum(1)], dim=1)  # digits at the first l positions
    behind = torch.cat([null.flip(1).cumsum(1).flip(1), start], dim=1)  # null at all others
    score, length = (before + behind).max(1)
    positions = torch.arange(digits.shape[1], device=digits.device)
    return torch.where(positions < length[:, None], digits, logits.shape[-1] - 1), score.exp()


def as_text(numbers: Tensor, null: int) -> list[str]:
    """Numbers (B, L) in words, up to the first null."""
    return ["".join(map(str, row[: row.index(null)] if null in row else row)) for row in numbers.tolist()]
