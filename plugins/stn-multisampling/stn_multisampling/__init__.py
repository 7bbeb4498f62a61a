"""Linearised multi-sampling for stn-lightning: ``--model.sampler=multisampling``."""

from stn_multisampling._multisampling import Multisampling

__all__ = ["Multisampling"]
