"""LightningModules."""

from stn_lightning.tasks._classification import Classification
from stn_lightning.tasks._colocalisation import CoLocalisation
from stn_lightning.tasks._nonfinite import NonFiniteLossError
from stn_lightning.tasks._part_metrics import PartCoverage
from stn_lightning.tasks._parts import PartsClassification
from stn_lightning.tasks._sequence import SequenceRecognition
from stn_lightning.tasks._sequence_metrics import Coverage, SequenceErrors
from stn_lightning.tasks._task import Task, Verdict

__all__ = [
    "Classification",
    "CoLocalisation",
    "Coverage",
    "NonFiniteLossError",
    "PartCoverage",
    "PartsClassification",
    "SequenceErrors",
    "SequenceRecognition",
    "Task",
    "Verdict",
]
