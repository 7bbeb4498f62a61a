"""Penalty for windows that collapse, grow or fold."""

from __future__ import annotations

from torch import Tensor

from stn_lightning.health import determinants, jacobians
from stn_lightning.penalties._penalty import GridPenalty


class Area(GridPenalty):
    """How far the area of a grid's cells lies outside a range: the mean over the cells, in areas of the identity's cell.

    It keeps scale from collapsing and, cell by cell, a spline from folding: the area of a cell that is turned over is
    negative. With ``least == most`` it is a prior for one area.

    Args:
        weight: factor of the cost, at least 0.
        least: area that costs nothing, relative to the image's; a window of half its height and width has 0.25.
        most: the largest that costs nothing.
        align_corners: the setting of the spatial transformers.

    Raises:
        ValueError: for a negative weight, or a range that is none.
    """

    def __init__(self, weight: float = 1.0, least: float = 0.1, most: float = 1.5, align_corners: bool = False) -> None:
        super().__init__(weight)
        if not least <= most:
            raise ValueError(f"expected least of at most most, got {least=}, {most=}")
        self.least, self.most, self.align_corners = least, most, align_corners

    def of_grid(self, grid: Tensor) -> Tensor:
        areas = cell_areas(grid, self.align_corners)
        excess: Tensor = ((self.least - areas).relu() + (areas - self.most).relu()).flatten(1).mean(1)
        return excess


def cell_areas(grid: Tensor, align_corners: bool = False) -> Tensor:
    """Area of each cell between four points of a grid, relative to that of the identity's: (B, H - 1, W - 1).

    It is that of the quadrilateral; negative where the cell is turned over. On a line it is a length, in space a volume.

    Args:
        grid: (B, *size, ndim) normalised source points, at least 2 in each direction.
        align_corners: whether -1 and 1 are the centres of the corner pixels.

    Raises:
        ValueError: for a smaller grid.
    """
    size = grid.shape[1:-1]
    if min(size) < 2:
        least, got = "x".join("2" * len(size)), "x".join(map(str, size))
        raise ValueError(f"expected grids of at least {least} points to have an area, got {got}")
    return determinants(jacobians(grid, [2 / (n - align_corners) for n in reversed(size)]))
