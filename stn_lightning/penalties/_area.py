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
        excess: Tensor = ((self.least - areas).relu() + (areas - self.most).relu()).mean((1, 2))
        return excess


def cell_areas(grid: Tensor, align_corners: bool = False) -> Tensor:
    """Area of each cell between four points of a grid, relative to that of the identity's: (B, H - 1, W - 1).

    It is that of the quadrilateral; negative where the cell is turned over.

    Args:
        grid: (B, H, W, 2) normalised source points, at least 2x2.
        align_corners: whether -1 and 1 are the centres of the corner pixels.

    Raises:
        ValueError: for a smaller grid.
    """
    height, width = grid.shape[1:3]
    if min(height, width) < 2:
        raise ValueError(f"expected grids of at least 2x2 points to have an area, got {height}x{width}")
    lost = int(align_corners)
    return determinants(jacobians(grid, (2 / (width - lost), 2 / (height - lost))))
