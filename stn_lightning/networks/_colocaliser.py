"""Network that finds what the images of a set have in common."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stn_lightning.networks._network import Network
from stn_lightning.networks._staged import INPUT, Output, TransformerFactory


class CoLocaliser(nn.Module):
    """A spatial transformer at the input, and an encoder of what is in its window (Jaderberg et al. 2015, appendix A.2).

    The code of an image is all that the encoder's layers say of it: the outputs of its stages, pooled, and its logits, one
    after the other. The encoder is frozen; it is a classifier that was trained before.

    Args:
        input_shape: (C, H, W) of an image.
        transformer: makes the spatial transformer for images (C, H, W); its output has the size of the encoder's images.
        encoder: a classifier without a spatial transformer.

    Raises:
        ValueError: if the transformer's output is not what the encoder takes.
    """

    def __init__(self, input_shape: Sequence[int], transformer: TransformerFactory, encoder: Network) -> None:
        super().__init__()
        self.input_shape = tuple(input_shape)
        self.transformer = transformer(self.input_shape)
        self.encoder = encoder.requires_grad_(False)
        window = (self.input_shape[0], *(self.transformer.output_size or self.input_shape[1:]))
        if window != encoder.input_shape or len(encoder.transformers):
            raise ValueError(
                f"expected an encoder of windows {window}, without transformers; got one of {encoder.input_shape}, "
                f"{len(encoder.transformers)} transformers"
            )

    def forward(self, images: Tensor) -> Output:
        """Codes (B, F) of what the transformer sees in images (B, *input_shape), and its warps."""
        warped = self.transformer(images)
        return Output(self.encode(warped.output), {INPUT: warped})

    def encode(self, windows: Tensor) -> Tensor:
        """Codes (B, F) of windows (B, *encoder.input_shape); the last of F are the encoder's logits."""
        said = [windows]
        for stage in self.encoder.stages.values():
            said.append(stage(said[-1]))
        logits = self.encoder.classifier(said[-1].flatten(1))
        return torch.cat([*(layer.flatten(1) for layer in said[1:]), logits], dim=1)
