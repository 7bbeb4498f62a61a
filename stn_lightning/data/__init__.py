"""LightningDataModules. Each has ``input_shape`` and ``num_classes``, which the CLI hands to the task."""

from stn_lightning.data._batches import Named
from stn_lightning.data._birds import Birds
from stn_lightning.data._cub.annotated import Annotated
from stn_lightning.data._distorted_digits import DistortedDigits
from stn_lightning.data._house_numbers import HouseNumbers
from stn_lightning.data._image_folder import ImageFolderData

__all__ = ["Annotated", "Birds", "DistortedDigits", "HouseNumbers", "ImageFolderData", "Named"]
