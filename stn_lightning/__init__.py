"""Spatial Transformer Networks as a PyTorch Lightning application with a plugin registry."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stn_lightning.spatial_transformer import (
        ParallelSpatialTransformers,
        SpatialTransformer,
        SpatialTransformerChain,
        Warped,
    )

__version__ = version("stn-lightning")

__all__ = ["ParallelSpatialTransformers", "SpatialTransformer", "SpatialTransformerChain", "Warped", "__version__"]


def __getattr__(name: str) -> Any:  # torch is imported when it is needed: `stn --version` answers at once
    if name in __all__:
        return getattr(import_module("stn_lightning.spatial_transformer"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
