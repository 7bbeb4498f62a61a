"""Tasks as files that run without this package: ``torch.export`` programs and ONNX."""

from stn_lightning.exporting._deployed import Deployed
from stn_lightning.exporting._export import Exported, export_task
from stn_lightning.exporting._formats import FORMATS, Format
from stn_lightning.exporting._images import images_of_data, images_of_files

__all__ = ["FORMATS", "Deployed", "Exported", "Format", "export_task", "images_of_data", "images_of_files"]
