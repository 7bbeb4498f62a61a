"""Localisation net that gives one theta after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stn_lightning.geometry import without_autocast
from stn_lightning.localisations._conv import Convolutional
from stn_lightning.localisations._localisation import Localisation, Regression


class Recurrent(Localisation):
    """Another localisation net, and a gated recurrent unit (GRU) behind it that gives one theta a step.

    It is that of the RNN-SPN of Sonderby et al. 2015 (arXiv 1509.05329): the features of the image are the input of every
    step, ``h_k = GRU(features, h_(k-1))`` with ``h_0 = 0``, and ``theta_k = W h_k + b_k``. So there are as many steps as
    heads: the net points at what it has to look at, one after the other, with the same weights. Each step has a bias of its
    own, since each head has its own initial theta: ours; in the authors' code, where all start at the identity, they share
    one. There the features are the map of three 3x3 convolutions; here they are those of any net, ``conv`` by default.

    Args:
        input_shape: (C, H, W) of the feature map.
        initial: (K, P) thetas at the start, one row a step.
        localisation: makes the net of (input_shape, initial), which ends in a ``Regression``: the recurrent unit takes its
            place. None for ``conv`` with 256 units.
        units: units of the recurrent unit; 256 as in the authors' code.

    Raises:
        ValueError: for ``units`` below 1, or a net that ends in something else.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        initial: Tensor,
        localisation: Callable[[tuple[int, ...], Tensor], Localisation] | None = None,
        units: int = 256,
    ) -> None:
        super().__init__(input_shape, initial)
        if units < 1:
            raise ValueError(f"expected units above 0, got {units}")
        build = localisation if localisation is not None else partial(Convolutional, units=256)
        net = build(self.input_shape, initial)
        if not isinstance(net.head, Regression) or type(net).point is not Localisation.point:
            raise ValueError(
                f"expected a localisation net that ends in a Regression, got {type(net).__name__}; to keep thetas within a "
                f"range, give this one to 'bounded'"
            )
        self.feature_map = net.feature_map
        self.trunk = nn.Sequential(net.trunk, _Steps(net.head.in_features, units, self.num_heads))
        self.head = _StepRegression(units, initial)


class _Steps(nn.Module):
    """Features (B, F), the same in every step, to hidden states (B, K, units) of K steps."""

    def __init__(self, num_features: int, units: int, steps: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(num_features, units)
        self.steps = steps

    def forward(self, features: Tensor) -> Tensor:
        state = features.new_zeros(features.shape[0], self.cell.hidden_size)
        states = []
        for _ in range(self.steps):
            state = self.cell(features, state)
            states.append(state)
        return torch.stack(states, dim=1)


class _StepRegression(nn.Module):
    """A ``Regression`` of each step's state: one weight for all, zero at the start, and for each the initial theta as bias."""

    def __init__(self, num_features: int, initial: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(initial.shape[1], num_features))
        self.bias = nn.Parameter(initial.clone())

    def forward(self, states: Tensor) -> Tensor:
        """(B, K, F) states to (B, K, P) thetas in float32, or float64 where the states are."""
        dtype = torch.promote_types(states.dtype, torch.float32)
        with without_autocast(states.device.type):
            return F.linear(states.to(dtype), self.weight.to(dtype)) + self.bias.to(dtype)
