"""Classifiers of volumes and signals."""

from __future__ import annotations

from torch import Tensor, nn

from stn_lightning.networks._cnn import CNN
from stn_lightning.networks._network import Network


class VolumeCNN(CNN):
    """Volumes, flattened by the sum over their depth, and then ``CNN`` on the projection.

    With a spatial transformer at the input (``affine3d``, ``trilinear``, ``conv3d``) it is the classifier of Jaderberg et al.
    2015, appendix A.3: the transformer turns the volume before it is flattened. The paper does not say what follows; here it
    is the CNN of its section 4.1. The arguments are those of ``CNN``, with ``input_shape`` (C, D, H, W).
    """

    ndim = 3
    localisation = "conv3d"
    placements = ("projection", "conv1", "conv2")

    def stage(self, name: str, shape: tuple[int, ...], width: int) -> nn.Module:
        return DepthSum() if name == "projection" else super().stage(name, shape, width)


class DepthSum(nn.Module):
    """The sum over the depth: (B, C, D, H, W) to (B, C, H, W)."""

    def forward(self, volumes: Tensor) -> Tensor:
        """Projections of volumes."""
        return volumes.sum(2)


class SignalCNN(Network):
    """``conv 9 - max pooling 2 - conv 7 - max pooling 2`` on signals, with ReLU: ``CNN`` in one dimension.

    Args:
        input_shape: (C, L) of a signal.
        num_classes: number of classes.
        transformer: makes the spatial transformer for a feature map (C, L); None for a network without.
        parameters: budget: the largest number of parameters, spatial transformers included.
        width: filters of the second convolution, of which the first has half; None for as many as the budget allows.
        placement: the stage that the spatial transformer follows: ``input``, ``conv1`` or ``conv2``; several for one at each.
        pool: factor of an average pooling before the first stage, after a transformer at the input; 1 for none.
        feed_theta: whether the classifier also sees theta.
        batch_norm: whether a batch normalisation follows each convolution.
    """

    ndim = 1
    localisation = "conv1d"
    placements = ("conv1", "conv2")

    def stage(self, name: str, shape: tuple[int, ...], width: int) -> nn.Module:
        filters, kernel = ((width + 1) // 2, 9) if name == "conv1" else (width, 7)
        norm = [nn.BatchNorm1d(filters)] if self.batch_norm else []
        return nn.Sequential(nn.Conv1d(shape[0], filters, kernel), *norm, nn.ReLU(), nn.MaxPool1d(2, ceil_mode=True))
