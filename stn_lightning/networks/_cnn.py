"""Convolutional network of the distorted MNIST experiments."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from stn_lightning.networks._network import Network
from stn_lightning.networks._staged import INPUT, TransformerFactory


class CNN(Network):
    """``conv 9x9 - max pooling 2 - conv 7x7 - max pooling 2``, with ReLU (Jaderberg et al. 2015, appendix A.4).

    With a spatial transformer at the input it is the paper's ST-CNN. The pooling rounds sizes up (ceil mode), as Caffe does:
    rounded down, a 42x42 image pooled by 2 would leave nothing after the second convolution.

    Args:
        input_shape: (C, H, W) of an image.
        num_classes: number of classes.
        transformer: makes the spatial transformer for a feature map (C, H, W); None for a network without.
        parameters: budget: the largest number of parameters, spatial transformer included.
        width: filters of the second convolution; None for as many as the budget allows.
        filters: filters of the first convolution.
        placement: the stage that the spatial transformer follows: ``input``, ``conv1`` or ``conv2``.
        pool: factor of an average pooling before the first stage, after a transformer at the input; 1 for none.
        feed_theta: whether the classifier also sees theta.
    """

    localisation = "conv"
    placements = ("conv1", "conv2")

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int,
        transformer: TransformerFactory | None = None,
        parameters: int = 400_000,
        width: int | None = None,
        filters: int = 32,
        placement: str = INPUT,
        pool: int = 1,
        feed_theta: bool = False,
    ) -> None:
        if filters < 1:
            raise ValueError(f"expected filters of at least 1, got {filters}")
        self._filters = filters
        super().__init__(input_shape, num_classes, transformer, parameters, width, placement, pool, feed_theta)

    def stage(self, name: str, shape: tuple[int, ...], width: int) -> nn.Module:
        filters, kernel = (self._filters, 9) if name == "conv1" else (width, 7)
        layers = nn.Sequential(nn.Conv2d(shape[0], filters, kernel), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True))
        return layers.to(memory_format=torch.channels_last)  # 1.2 to 1.6 times faster on a CPU, the same result
