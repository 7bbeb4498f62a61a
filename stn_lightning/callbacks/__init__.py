"""Lightning callbacks that show what spatial transformers do."""

from stn_lightning.callbacks._best_and_last import BestAndLast, is_rank_zero
from stn_lightning.callbacks._health import TransformerHealth
from stn_lightning.callbacks._pictures import WarpPictures, panel, product_panel, warp_pictures
from stn_lightning.callbacks._prediction_pictures import PredictionPictures
from stn_lightning.callbacks._predictions import PredictionTable
from stn_lightning.callbacks._preemption import Preemption
from stn_lightning.callbacks._random_state import RandomState
from stn_lightning.callbacks._resume_point import ResumePoint
from stn_lightning.callbacks._run_summary import RunSummary
from stn_lightning.callbacks._samples import HardSamples
from stn_lightning.callbacks._statistics import WarpStatistics, in_words
from stn_lightning.callbacks._text import captions

__all__ = [
    "BestAndLast",
    "HardSamples",
    "PredictionPictures",
    "PredictionTable",
    "Preemption",
    "RandomState",
    "ResumePoint",
    "RunSummary",
    "TransformerHealth",
    "WarpPictures",
    "WarpStatistics",
    "captions",
    "in_words",
    "is_rank_zero",
    "panel",
    "product_panel",
    "warp_pictures",
]
