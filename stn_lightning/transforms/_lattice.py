"""Regular lattices of control points."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stn_lightning.geometry import regular_points

Array = npt.NDArray[np.float64]


def lattice(grid_size: int | tuple[int, int]) -> tuple[tuple[int, int], Array]:
    """The size (rows, columns) of a lattice over [-1, 1], and its points (K, 2), row by row.

    Raises:
        ValueError: for fewer than 2 points per side.
    """
    size = (grid_size, grid_size) if isinstance(grid_size, int) else tuple(grid_size)
    if len(size) != 2 or min(size) < 2:
        raise ValueError(f"expected grid_size of at least 2 control points per side, got {grid_size}")
    return size, as_float32(regular_points(size, align_corners=True).numpy())


def as_float32(points: object) -> Array:
    """Float32 numbers, in float64: the identity is then exact in either precision."""
    return np.asarray(points, dtype=np.float32).astype(np.float64)
