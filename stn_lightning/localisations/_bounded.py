"""Localisation net whose thetas stay within a range."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from stn_lightning.localisations._conv import Convolutional
from stn_lightning.localisations._localisation import Localisation


class Bounded(Localisation):
    """Another localisation net, of which each parameter of theta stays within ``reach`` of where it starts.

    ``theta = initial + reach * tanh((t - initial) / reach)`` of that net's t. At the start theta is exactly the initial one,
    and small steps are those of the net alone; further out they shrink, and no step takes theta beyond the range. It keeps a
    window from leaving the image, its scale from collapsing and control points from folding, at any learning rate. An
    interval is its middle and its half: a scale from 0.3 to 1 starts at 0.65 and reaches 0.35 far. (A sigmoid is the same
    curve.)

    The range stands at the net, not at the transform, since the net alone knows at which theta it starts; so theta is what the
    transform uses, in pictures and histograms too. It takes the place of ``conv`` or another net: with any task, and for each
    transformer of several.

    Args:
        input_shape: (C, H, W) of the feature map.
        initial: (K, P) thetas at the start, the middle of the range.
        localisation: makes the net of (input_shape, initial); None for ``conv``.
        reach: how far a parameter may go, above 0: one number for all, or P numbers.

    Raises:
        ValueError: for a ``reach`` that is not above 0, or of another length.
    """

    reach: Tensor
    initial: Tensor

    def __init__(
        self,
        input_shape: Sequence[int],
        initial: Tensor,
        localisation: Callable[[tuple[int, ...], Tensor], Localisation] | None = None,
        reach: float | list[float] = 0.5,
    ) -> None:
        super().__init__(input_shape, initial)
        given = torch.as_tensor(reach, dtype=initial.dtype)
        if given.shape not in ((), (self.num_params,)) or not bool((given > 0).all()):
            raise ValueError(f"expected reach above 0, one number or {self.num_params}; got {reach}")
        net = (localisation if localisation is not None else Convolutional)(self.input_shape, initial)
        self.feature_map, self.trunk, self.head = net.feature_map, net.trunk, net.head
        self.register_buffer("initial", initial.clone(), persistent=False)
        self.register_buffer("reach", given.expand(self.num_params).clone(), persistent=False)

    def point(self, seen: Tensor) -> Tensor:
        theta = super().point(seen)
        return self.initial + self.reach * torch.tanh((theta - self.initial) / self.reach)

    def saturation(self, theta: Tensor) -> Tensor:
        """How near each parameter is to the end of its range: 0 where it starts, 1 at the end, where it learns no more.

        Of the gradient of theta, ``1 - saturation ** 2`` reaches the net.

        Args:
            theta: (B, K, P).
        """
        return (theta.detach() - self.initial).abs() / self.reach
