"""Classifiers of a budget of parameters, with or without a spatial transformer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import ClassVar

import torch
from torch import Tensor, nn

from stn_lightning.networks._budget import count_parameters, widest
from stn_lightning.networks._staged import INPUT, Output, Staged, StageFactory, TransformerFactory

POOLING: dict[int, Callable[[int], nn.Module]] = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}


class Network(Staged):
    """Stages in a row and a linear classifier, with or without spatial transformers, at the input or after a stage.

    Networks with and without a spatial transformer are compared at the same number of parameters (Jaderberg et al. 2015,
    section 4.1): ``width`` follows from the budget ``parameters``, of which the transformer takes its share. A subclass gives
    ``placements`` and ``stage``.

    Args:
        input_shape: (C, H, W) of an image.
        num_classes: number of classes.
        transformer: makes the spatial transformer for a feature map (C, H, W); None for a network without.
        parameters: budget: the largest number of parameters, spatial transformers included.
        width: width of the network; None for the largest that the budget allows.
        placement: the stage that the spatial transformer follows, or ``input``; several for one at each of them.
        pool: factor of an average pooling before the first stage, after a transformer at the input; 1 for none.
        feed_theta: whether the classifier also sees theta (section 3.4 of the paper).
        batch_norm: whether a batch normalisation follows each layer of a stage (Ioffe and Szegedy 2015).

    Attributes:
        localisation: name of the localisation net that the paper uses with this network.
        placements: the names of the stages.

    Raises:
        ValueError: for an unknown placement, one given twice, or none of a transformer; an image too small for the stages; or
            a budget too small for any width.
    """

    localisation: ClassVar[str]
    placements: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int,
        transformer: TransformerFactory | None = None,
        parameters: int = 400_000,
        width: int | None = None,
        placement: str | list[str] = INPUT,
        pool: int = 1,
        feed_theta: bool = False,
        batch_norm: bool = False,
    ) -> None:
        super().__init__(input_shape)
        places = [placement] if isinstance(placement, str) else list(placement)
        if not set(places) <= {INPUT, *self.placements} or len(set(places)) < len(places):
            known = ", ".join((INPUT, *self.placements))
            raise ValueError(f"expected placement one of {known}; got {placement!r} (several are a list of each once)")
        if (width is not None and width < 1) or pool < 1:
            raise ValueError(f"expected width and pool of at least 1, got {width=}, {pool=}")
        self.feed_theta, self.batch_norm = feed_theta, batch_norm
        transformers = {} if transformer is None else self.transformers_at(places, transformer)
        if transformer is not None and not transformers:
            raise ValueError("expected placement of at least one stage for the transformer, got []")

        def build(width: int) -> tuple[nn.ModuleDict, nn.ModuleDict, nn.Linear]:
            makers: dict[str, StageFactory] = {"pool": lambda shape: POOLING[self.ndim](pool)} if pool > 1 else {}
            makers |= {name: partial(self.stage, name, width=width) for name in self.placements}
            stages, added, shape = self.assemble(makers, transformers)
            thetas = sum(layer.num_heads * layer.transform.num_params for layer in added.values()) if feed_theta else 0
            return stages, nn.ModuleDict(added), nn.Linear(prod(shape) + thetas, num_classes)

        if width is None:
            with torch.random.fork_rng(devices=[]):  # the search leaves the initial weights to the seed alone
                width = widest(lambda w: count_parameters(*build(w)), parameters)
        self.width = width
        self.stages, self.transformers, self.classifier = build(width)

    def transformers_at(self, places: Sequence[str], transformer: TransformerFactory) -> Mapping[str, TransformerFactory]:
        """What makes the spatial transformer of each place that has one; may be overridden."""
        return dict.fromkeys(places, transformer)

    @abstractmethod
    def stage(self, name: str, shape: tuple[int, ...], width: int) -> nn.Module:
        """The stage of a name, for a feature map (C, H, W) or features (F,)."""

    def forward(self, x: Tensor) -> Output:
        """Logits and warps.

        Args:
            x: (B, *input_shape) images.

        Raises:
            ValueError: if the images have another shape.
        """
        x, warps = self.features(x)
        features = x.flatten(1)
        if self.feed_theta:
            features = torch.cat([features, *(warp.theta.to(features.dtype) for warp in warps.values())], dim=1)
        return Output(self.classifier(features), warps)
