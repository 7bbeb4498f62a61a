"""The contract of a localisation net."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stn_lightning.component import Component
from stn_lightning.geometry import without_autocast
from stn_lightning.localisations._clip import with_clipped_gradient


class Regression(nn.Linear):
    """The last layer of a localisation net: weights zero, bias the initial theta, computed in float32 at least.

    Args:
        num_features: F, size of the input.
        initial: (K, P) thetas at the start, one row a head.
    """

    def __init__(self, num_features: int, initial: Tensor) -> None:
        super().__init__(num_features, initial.numel())
        self.heads = tuple(initial.shape)
        with torch.no_grad():
            self.weight.zero_()
            self.bias.copy_(initial.flatten())

    def forward(self, input: Tensor) -> Tensor:
        """(B, F) features to (B, K, P) thetas in float32, or float64 where the features are."""
        dtype = torch.promote_types(input.dtype, torch.float32)
        with without_autocast(input.device.type):
            theta = F.linear(input.to(dtype), self.weight.to(dtype), self.bias.to(dtype))
        return theta.view(-1, *self.heads)


class Localisation(Component, ABC):
    """Predicts theta from a feature map.

    A subclass sets two modules in its constructor: ``trunk``, from (B, *input_shape) to (B, F), and ``head``, usually a
    ``Regression`` of F features. One that begins with an image classifier's feature map may set that as ``feature_map``,
    from (B, *input_shape) to (B, C', h, w): its trunk begins there. The first two constructor arguments are those below; the
    options of a subclass follow.

    Args:
        input_shape: (C, H, W) of the feature map.
        initial: (K, P) thetas that K heads predict at the start, before any training.

    Attributes:
        ndim: dimensions of the space, 2 or 3.
        theta_clip: the largest gradient of theta that a sample sends back, relative to the median of its batch; None for any.

    Raises:
        ValueError: if the arguments have other shapes.
    """

    ndim: ClassVar[int] = 2
    theta_clip: float | None = None
    feature_map: nn.Module | None
    trunk: nn.Module
    head: nn.Module

    def __init__(self, input_shape: Sequence[int], initial: Tensor) -> None:
        super().__init__()
        shape = tuple(input_shape)
        if len(shape) != self.ndim + 1 or min(shape) < 1:
            raise ValueError(f"{type(self).__name__}: expected input_shape of {self.ndim + 1} positive sizes, got {shape}")
        if initial.ndim != 2:
            raise ValueError(f"{type(self).__name__}: expected initial thetas (K, P), got shape {tuple(initial.shape)}")
        self.input_shape = shape
        self.num_heads, self.num_params = initial.shape
        self.feature_map = None

    def forward(self, input: Tensor) -> Tensor:
        """Thetas of feature maps.

        Args:
            input: (B, *input_shape).

        Returns:
            (B, K, P), float32, or float64 where the features are.

        Raises:
            ValueError: if the input has another shape.
        """
        return self.point(self.see(input))

    def see(self, input: Tensor) -> Tensor:
        """What the trunk sees of (B, *input_shape): the feature map (B, C', h, w) where there is one, else the input.

        Raises:
            ValueError: if the input has another shape.
        """
        if tuple(input.shape[1:]) != self.input_shape:
            expected = ", ".join(map(str, self.input_shape))
            raise ValueError(f"{type(self).__name__}: expected input of shape (B, {expected}), got {tuple(input.shape)}")
        seen: Tensor = input if self.feature_map is None else self.feature_map(input)
        return seen

    def point(self, seen: Tensor) -> Tensor:
        """Thetas (B, K, P) of what the trunk sees."""
        theta: Tensor = self.head(self.trunk(seen))
        return theta if self.theta_clip is None else with_clipped_gradient(theta, self.theta_clip)
