"""Localisation nets on the backbones of timm for stn-lightning: ``--model.localisation=timm``."""

from stn_timm._localisation import Timm

__all__ = ["Timm"]
