"""Pictures of what the spatial transformers of a checkpoint do."""

from stn_lightning.showing._batches import folder_batches, tested_batches
from stn_lightning.showing._evolution import evolutions
from stn_lightning.showing._gallery import Gallery, Sample, looked_at
from stn_lightning.showing._pictures import picture, sheet

__all__ = ["Gallery", "Sample", "evolutions", "folder_batches", "looked_at", "picture", "sheet", "tested_batches"]
