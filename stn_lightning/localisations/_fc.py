"""Fully connected localisation net."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from stn_lightning.localisations._localisation import Localisation, Regression


class FullyConnected(Localisation):
    """Fully connected layers with ReLU: the localisation net of ST-FCN (Jaderberg et al. 2015, appendix A.4).

    Args:
        input_shape: (C, H, W) of the feature map.
        initial: (K, P) thetas at the start.
        units: units of each hidden layer.
        batch_norm: whether a batch normalisation follows each hidden layer; the paper has none.

    Raises:
        ValueError: if a layer has no unit.
    """

    def __init__(
        self, input_shape: Sequence[int], initial: Tensor, units: Sequence[int] = (32, 32, 32), batch_norm: bool = False
    ) -> None:
        super().__init__(input_shape, initial)
        if not units or min(units) < 1:
            raise ValueError(f"expected units of at least one layer, each above 0; got {units}")
        sizes = [prod(self.input_shape), *units]
        layers: list[nn.Module] = [nn.Flatten()]
        for i, o in pairwise(sizes):
            layers += [nn.Linear(i, o), *([nn.BatchNorm1d(o)] if batch_norm else []), nn.ReLU()]
        self.trunk = nn.Sequential(*layers)
        self.head = Regression(sizes[-1], initial)
