"""Stages in a row, with spatial transformers between them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from stn_lightning.geometry import SIZE
from stn_lightning.spatial_transformer import Layer, Warped

Shape = tuple[int, ...]
StageFactory = Callable[[Shape], nn.Module]
TransformerFactory = Callable[[Shape], Layer]
INPUT = "input"


class Output(NamedTuple):
    """What a network makes of its input.

    Attributes:
        prediction: logits: (B, num_classes), or (B, positions, num_classes) of a sequence.
        warps: what each spatial transformer did, by its name: the stage that it follows, or ``input``; from the input inwards.
            Those of parallel ones are numbered: ``input.1``, ``input.2``.
    """

    prediction: Tensor
    warps: dict[str, Warped]


class Staged(nn.Module, ABC):
    """Stages in a row; spatial transformers stand at the input, or follow a stage of feature maps.

    What parallel transformers make of a feature map is concatenated along its channels.

    A subclass sets ``stages`` and ``transformers``, by ``assemble``, and gives ``forward``.

    Args:
        input_shape: (C, H, W) of an image, or (C, L) or (C, D, H, W), by ``ndim``.

    Attributes:
        ndim: dimensions of the space, 1, 2 or 3.

    Raises:
        ValueError: for another number of sizes, or one that is not positive.
    """

    ndim: ClassVar[int] = 2
    stages: nn.ModuleDict
    transformers: nn.ModuleDict

    def __init__(self, input_shape: Sequence[int]) -> None:
        super().__init__()
        self.input_shape = tuple(input_shape)
        if len(self.input_shape) != self.ndim + 1 or min(self.input_shape) < 1:
            raise ValueError(f"{type(self).__name__}: expected input_shape (C, {SIZE[self.ndim]}), got {self.input_shape}")

    @abstractmethod
    def forward(self, x: Tensor) -> Output:
        """Prediction and warps of (B, *input_shape)."""

    def assemble(
        self, stages: Mapping[str, StageFactory], transformers: Mapping[str, TransformerFactory]
    ) -> tuple[nn.ModuleDict, dict[str, Layer], Shape]:
        """Builds stages and transformers, each for the shape that reaches it.

        Args:
            stages: what makes each stage, in order.
            transformers: what makes the transformer that follows a stage, or stands at the ``input``.

        Returns:
            The stages, the transformers, and the shape after the last.

        Raises:
            ValueError: for an image too small for the stages.
        """
        built = nn.ModuleDict()
        added: dict[str, Layer] = {}
        shape = self.input_shape

        def transform(name: str) -> None:
            nonlocal shape
            if name in transformers:
                added[name] = transformer = transformers[name](shape)
                shape = (shape[0] * transformer.num_heads, *(transformer.output_size or shape[1:]))

        transform(INPUT)
        for name, make in stages.items():
            built[name] = make(shape)
            shape = self._shape_after(name, built[name], shape, added)
            transform(name)
        return built, added, shape

    def _shape_after(self, name: str, stage: nn.Module, shape: Shape, before: Mapping[str, Layer]) -> Shape:
        try:
            stage.eval()  # a batch normalisation would ask for more than one image, a dropout would draw
            with torch.no_grad():
                after = tuple(stage(torch.zeros(1, *shape)).shape[1:])
            stage.train()
            return after
        except RuntimeError as e:
            sizes = [
                f"output_size {st.output_size} of the transformer at {at!r}" for at, st in before.items() if st.output_size
            ]
            small = " or ".join([f"images of shape {self.input_shape}", *sizes])
            raise ValueError(f"{type(self).__name__}: {small} are too small: stage {name!r} got {shape}") from e

    def features(self, x: Tensor) -> tuple[Tensor, dict[str, Warped]]:
        """What the last stage makes of the images, and the warps on the way.

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
        return x, warps

    def _warp(self, name: str, x: Tensor, warps: dict[str, Warped]) -> Tensor:
        if name not in self.transformers:
            return x
        warped = self.transformers[name](x)
        if isinstance(warped, Warped):
            warps[name] = warped
            return warped.output
        warps.update({f"{name}.{i}": each for i, each in enumerate(warped, 1)})
        return torch.cat([each.output for each in warped], dim=1)
