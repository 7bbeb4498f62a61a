"""Convolutional localisation nets of signals and volumes."""

from __future__ import annotations

from stn_lightning.localisations._conv import Convolutional


class Convolutional1d(Convolutional):
    """The localisation net ``conv`` on signals: convolutions of 5 samples.

    ``average pooling - conv 5 - max pooling 2 - conv 5 - fc``

    Args:
        input_shape: (C, L) of the feature map.
        initial: (K, P) thetas at the start.
        filters: filters of each convolution.
        units: units of the fully connected layer, or of each of several.
        downsample: factor of the average pooling at the input; 1 for none.
        padding: zeros around the input of each convolution.
        batch_norm: whether a batch normalisation follows each convolution.

    Raises:
        ValueError: if an argument is out of range, or the feature map too small for the convolutions.
    """

    ndim = 1


class Convolutional3d(Convolutional):
    """The localisation net ``conv`` on volumes: convolutions of 5x5x5 voxels.

    ``average pooling - conv 5x5x5 - max pooling 2 - conv 5x5x5 - fc``. The paper does not say which net its volumes have.

    Args:
        input_shape: (C, D, H, W) of the feature map.
        initial: (K, P) thetas at the start.
        filters: filters of each convolution.
        units: units of the fully connected layer, or of each of several.
        downsample: factor of the average pooling at the input; 1 for none.
        padding: zeros around the input of each convolution.
        batch_norm: whether a batch normalisation follows each convolution.

    Raises:
        ValueError: if an argument is out of range, or the feature map too small for the convolutions.
    """

    ndim = 3
