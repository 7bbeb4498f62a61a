"""Networks of stages in a row, with a spatial transformer between two of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from math import prod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from stn_lightning.networks._budget import count_parameters, widest
from stn_lightning.spatial_transformer import SpatialTransformer, Warped

TransformerFactory = Callable[[tuple[int, ...]], SpatialTransformer]
INPUT = "input"


class Output(NamedTuple):
    """What a network makes of its input.

    Attributes:
        prediction: (B, num_classes) logits.
        warps: what each spatial transformer did, by its name: the stage that it follows, or ``input``.
    """

    prediction: Tensor
    warps: dict[str, Warped]


class Network(nn.Module, ABC):
    """Stages in a row and a linear classifier, with at most one spatial transformer, at the input or after a stage.

    Networks with and without a spatial transformer are compared at the same number of parameters (Jaderberg et al. 2015,
    section 4.1): ``width`` follows from the budget ``parameters``, of which the transformer takes its share. A subclass gives
    ``placements`` and ``stage``.

    Args:
        input_shape: (C, H, W) of an image.
        num_classes: number of classes.
        transformer: makes the spatial transformer for a feature map (C, H, W); None for a network without.
        parameters: budget: the largest number of parameters, spatial transformer included.
        width: width of the network; None for the largest that the budget allows.
        placement: the stage that the spatial transformer follows, or ``input``.
        pool: factor of an average pooling before the first stage, after a transformer at the input; 1 for none.
        feed_theta: whether the classifier also sees theta (section 3.4 of the paper).

    Attributes:
        localisation: name of the localisation net that the paper uses with this network.
        placements: the names of the stages.

    Raises:
        ValueError: for an unknown placement, an image too small for the stages, or a budget too small for any width.
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
        placement: str = INPUT,
        pool: int = 1,
        feed_theta: bool = False,
    ) -> None:
        super().__init__()
        if placement not in (INPUT, *self.placements):
            raise ValueError(f"expected placement one of {', '.join((INPUT, *self.placements))}; got {placement!r}")
        if (width is not None and width < 1) or pool < 1:
            raise ValueError(f"expected width and pool of at least 1, got {width=}, {pool=}")
        self.input_shape = tuple(input_shape)
        self.feed_theta = feed_theta

        def build(width: int) -> tuple[nn.ModuleDict, nn.ModuleDict, nn.Linear]:
            return self._build(num_classes, transformer, width, placement, pool)

        if width is None:
            with torch.random.fork_rng(devices=[]):  # the search leaves the initial weights to the seed alone
                width = widest(lambda w: count_parameters(*build(w)), parameters)
        self.width = width
        self.stages, self.transformers, self.classifier = build(width)

    @abstractmethod
    def stage(self, name: str, shape: tuple[int, ...], width: int) -> nn.Module:
        """The stage of a name, for a feature map (C, H, W) or features (F,)."""

    def _build(
        self, num_classes: int, transformer: TransformerFactory | None, width: int, placement: str, pool: int
    ) -> tuple[nn.ModuleDict, nn.ModuleDict, nn.Linear]:
        stages, transformers = nn.ModuleDict(), nn.ModuleDict()
        shape = self.input_shape
        for name in (INPUT, *self.placements):
            if name == INPUT:
                stage: nn.Module = nn.Identity()
            else:
                stage = stages[name] = self.stage(name, shape, width)
            shape = self._shape_after(name, stage, shape)
            if transformer is not None and name == placement:
                transformers[name] = added = transformer(shape)
                shape = (shape[0], *(added.output_size or shape[1:]))
            if name == INPUT and pool > 1:
                stages["pool"] = nn.AvgPool2d(pool)
                shape = self._shape_after("pool", stages["pool"], shape)
        thetas = added.transform.num_params if self.feed_theta and transformers else 0
        return stages, transformers, nn.Linear(prod(shape) + thetas, num_classes)

    def _shape_after(self, name: str, stage: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
        try:
            with torch.no_grad():
                return tuple(stage(torch.zeros(1, *shape)).shape[1:])
        except RuntimeError as e:
            raise ValueError(
                f"{type(self).__name__}: images of shape {self.input_shape} are too small: stage {name!r} got {shape}"
            ) from e

    def forward(self, x: Tensor) -> Output:
        """Logits and warps.

        Args:
            x: (B, *input_shape) images.

        Raises:
            ValueError: if the images have another shape.
        """
        if tuple(x.shape[1:]) != self.input_shape:
            expected = ", ".join(map(str, self.input_shape))
            raise ValueError(f"{type(self).__name__}: expected images of shape (B, {expected}), got {tuple(x.shape)}")
        warps: dict[str, Warped] = {}
        x = self._warp(INPUT, x, warps)
        for name, stage in self.stages.items():
            x = self._warp(name, stage(x), warps)
        features = x.flatten(1)
        if self.feed_theta:
            features = torch.cat([features, *(warp.theta.to(features.dtype) for warp in warps.values())], dim=1)
        return Output(self.classifier(features), warps)

    def _warp(self, name: str, x: Tensor, warps: dict[str, Warped]) -> Tensor:
        if name not in self.transformers:
            return x
        warps[name] = self.transformers[name](x)
        return warps[name].output
