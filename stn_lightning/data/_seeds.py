"""Seeds that are functions of what they are for."""

from __future__ import annotations

import numpy as np


def derived_seed(purpose: str, *key: int) -> int:
    """A 63-bit seed that is a function of its purpose and key; different ones give independent streams.

    Args:
        purpose: what the numbers are for.
        key: non-negative numbers, such as seed, epoch, step and rank.
    """
    # SeedSequence pads with zeros: without the length, (0,) and (0, 0) would be one key
    entropy = [int.from_bytes(purpose.encode(), "big"), len(key), *key]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)
