"""Log-polar transform for stn-lightning: ``--model.transform=polar``."""

from stn_polar._polar import Polar

__all__ = ["Polar"]
