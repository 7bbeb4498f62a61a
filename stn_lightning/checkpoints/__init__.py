"""Checkpoints that are whole or not there, and checked over all their bytes when they are read."""

from stn_lightning.checkpoints._finding import Found, find_checkpoint
from stn_lightning.checkpoints._reading import first_not_finite, hyper_parameters, read_checkpoint
from stn_lightning.checkpoints._whole import WholeCheckpoints, write_checkpoint

__all__ = [
    "Found",
    "WholeCheckpoints",
    "find_checkpoint",
    "first_not_finite",
    "hyper_parameters",
    "read_checkpoint",
    "write_checkpoint",
]
