"""LightningDataModules. Each has ``input_shape`` and ``num_classes``, which the CLI hands to the task."""

from stn_lightning.data._batches import Named
from stn_lightning.data._birds import Birds
from stn_lightning.data._cub.annotated import Annotated
from stn_lightning.data._digit_scenes import DigitScenes
from stn_lightning.data._digit_sequences import DigitSequences
from stn_lightning.data._digit_sums import DigitSums
from stn_lightning.data._digit_volumes import DigitVolumes
from stn_lightning.data._distorted_digits import DistortedDigits
from stn_lightning.data._house_numbers import HouseNumbers
from stn_lightning.data._image_folder import ImageFolderData
from stn_lightning.data._warped_signals import WarpedSignals

__all__ = [
    "Annotated",
    "Birds",
    "DigitScenes",
    "DigitSequences",
    "DigitSums",
    "DigitVolumes",
    "DistortedDigits",
    "HouseNumbers",
    "ImageFolderData",
    "Named",
    "WarpedSignals",
]
