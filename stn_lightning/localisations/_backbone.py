"""Localisation net on the feature map of an image classifier."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from stn_lightning.backbones import SMALL, FeatureMap
from stn_lightning.localisations._localisation import Localisation, Regression


class Backbone(Localisation):
    """A classifier up to its last feature map, a 1x1 convolution and a fully connected layer.

    The localisation net that parallel transformers share on CUB-200 (Jaderberg et al. 2015, appendix A.6): Inception to its
    7x7x1024 map, 128 filters, 128 units, with ReLU.

    Args:
        input_shape: (3, H, W) of the images.
        initial: (K, P) thetas at the start.
        backbone: ``small``, ``tiny``, or a classifier of torchvision by its name, such as ``googlenet``.
        weights: name of torchvision's weights, or a file; None for random ones.
        filters: filters of the 1x1 convolution.
        units: units of the fully connected layer.
        downsample: factor of the average pooling at the input; 1 for none. At 448 pixels, 2 keeps the cost that of 224.

    Raises:
        ValueError: if an argument is out of range, or the images do not fit the classifier.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        initial: Tensor,
        backbone: str = SMALL,
        weights: str | None = None,
        filters: int = 128,
        units: int = 128,
        downsample: int = 1,
    ) -> None:
        super().__init__(input_shape, initial)
        if min(filters, units) < 1:
            raise ValueError(f"expected filters and units above 0; got {filters=}, {units=}")
        self.feature_map, (features, height, width) = downsampled_map(self.input_shape, backbone, weights, downsample)
        self.trunk = nn.Sequential(
            nn.Conv2d(features, filters, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(filters * height * width, units),
            nn.ReLU(),
        )
        self.head = Regression(units, initial)


def downsampled_map(
    input_shape: tuple[int, ...], backbone: str, weights: str | None, downsample: int
) -> tuple[nn.Sequential, tuple[int, ...]]:
    """Average pooling and the feature map of a classifier, and the map's shape (F, h, w).

    Args:
        input_shape: (3, H, W) of the images.
        backbone: ``small``, ``tiny``, or a classifier of torchvision by its name.
        weights: as ``FeatureMap`` takes them.
        downsample: factor of the pooling.

    Raises:
        ValueError: for a factor below 1, or images that do not fit.
    """
    if downsample < 1:
        raise ValueError(f"expected downsample above 0, got {downsample}")
    feature_map = FeatureMap(backbone, weights)
    channels, *size = input_shape
    pooling = nn.AvgPool2d(downsample) if downsample > 1 else nn.Identity()
    return nn.Sequential(pooling, feature_map), feature_map.output_shape((channels, *(n // downsample for n in size)))
