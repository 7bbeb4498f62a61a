"""Fully connected network of the distorted MNIST experiments."""

from __future__ import annotations

from math import prod

from torch import nn

from stn_lightning.networks._network import Network


class FCN(Network):
    """Two hidden fully connected layers of one width, with ReLU (Jaderberg et al. 2015, appendix A.4).

    With a spatial transformer at the input it is the paper's ST-FCN.

    Args:
        input_shape: (C, H, W) of an image.
        num_classes: number of classes.
        transformer: makes the spatial transformer for a feature map (C, H, W); None for a network without.
        parameters: budget: the largest number of parameters, spatial transformers included.
        width: units of each hidden layer; None for as many as the budget allows.
        placement: where the spatial transformer stands: ``input``, since hidden layers are no feature maps.
        pool: factor of an average pooling before the first layer, after the transformer; 1 for none.
        feed_theta: whether the classifier also sees theta.
        batch_norm: whether a batch normalisation follows each hidden layer; the paper has none.
    """

    localisation = "fc"
    placements = ("hidden1", "hidden2")

    def stage(self, name: str, shape: tuple[int, ...], width: int) -> nn.Module:
        norm = [nn.BatchNorm1d(width)] if self.batch_norm else []
        return nn.Sequential(nn.Flatten(), nn.Linear(prod(shape), width), *norm, nn.ReLU())
