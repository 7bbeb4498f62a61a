"""LightningDataModules. Each has ``input_shape`` and ``num_classes``, which the CLI hands to the task."""

from stn_lightning.data._distorted_digits import DistortedDigits

__all__ = ["DistortedDigits"]
