"""Penalties on what spatial transformers do: terms of the training loss, of grids and not of theta, so for any transform.

``--model.penalties+=Outside --model.penalties.weight=10``; in a config ``penalties: [{class_path: ..., init_args: ...}]``.
"""

from stn_lightning.penalties._area import Area, cell_areas
from stn_lightning.penalties._equivariance import Equivariance
from stn_lightning.penalties._identity import Identity
from stn_lightning.penalties._outside import Outside, outside
from stn_lightning.penalties._overlap import Overlap, overlap
from stn_lightning.penalties._penalty import GridPenalty, Penalty
from stn_lightning.penalties._smoothness import Smoothness

__all__ = [
    "Area",
    "Equivariance",
    "GridPenalty",
    "Identity",
    "Outside",
    "Overlap",
    "Penalty",
    "Smoothness",
    "cell_areas",
    "outside",
    "overlap",
]
