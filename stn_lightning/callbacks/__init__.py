"""Lightning callbacks that show what spatial transformers do."""

from stn_lightning.callbacks._best_and_last import BestAndLast, is_rank_zero
from stn_lightning.callbacks._pictures import WarpPictures, panel
from stn_lightning.callbacks._predictions import PredictionTable

__all__ = ["BestAndLast", "PredictionTable", "WarpPictures", "is_rank_zero", "panel"]
