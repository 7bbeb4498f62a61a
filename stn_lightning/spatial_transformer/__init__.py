"""The spatial transformer layer: one, several side by side, or a chain of them."""

from stn_lightning.spatial_transformer._chain import SpatialTransformerChain
from stn_lightning.spatial_transformer._layer import Layer, Warped
from stn_lightning.spatial_transformer._parallel import ParallelSpatialTransformers
from stn_lightning.spatial_transformer._single import SpatialTransformer

__all__ = ["Layer", "ParallelSpatialTransformers", "SpatialTransformer", "SpatialTransformerChain", "Warped"]
