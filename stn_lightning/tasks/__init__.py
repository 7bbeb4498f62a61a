"""LightningModules."""

from stn_lightning.tasks._classification import Classification
from stn_lightning.tasks._nonfinite import NonFiniteLossError
from stn_lightning.tasks._task import Task

__all__ = ["Classification", "NonFiniteLossError", "Task"]
