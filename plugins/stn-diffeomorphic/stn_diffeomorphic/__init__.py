"""Smooth invertible warps for stn-lightning: ``--model.transform=diffeomorphic``."""

from stn_diffeomorphic._diffeomorphic import Diffeomorphic

__all__ = ["Diffeomorphic"]
