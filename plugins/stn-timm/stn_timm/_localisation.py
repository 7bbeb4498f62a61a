"""Localisation net on a timm backbone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from stn_lightning.geometry import checked_size
from stn_lightning.localisations import Localisation, Regression
from torch import Tensor, nn

from stn_timm._backbone import Backbone


class Timm(Localisation):
    """A timm backbone, a 1x1 convolution and a fully connected layer, with ReLU.

    So is the net of the experiments on birds (Jaderberg et al. 2015, appendix A.6): Inception up to its 7x7 feature map, 128
    filters, 128 units. The map is not pooled: theta depends on where things are.

    Args:
        input_shape: (C, H, W) of the feature map, at any C; H and W at least the backbone's stride at ``stage``.
        initial: (K, P) thetas at the start.
        model: name of a timm model, with or without the tag of its weights: ``resnet18``, ``convnext_atto.d2_in1k``.
        pretrained: whether to start from its pretrained weights: from the Hugging Face hub at the first time, then from its
            cache on this machine. They expect images normalised as ``timm.data.resolve_data_config`` says.
        stage: index of the backbone's feature map; -1 is the last. Earlier ones have a smaller stride (resnet: 2, 4, 8, 16,
            32), for small images, and what follows them in the backbone is left out.
        filters: filters of the 1x1 convolution.
        units: units of the fully connected layer.
        resize: (H, W) to which maps are resized before the backbone (bilinear, antialiased); None for their own size.

    Raises:
        ValueError: if there is no such model, stage or weights, or the backbone does not take maps of this size.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        initial: Tensor,
        model: str = "resnet10t",
        pretrained: bool = False,
        stage: int = -1,
        filters: int = 128,
        units: int = 128,
        resize: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(input_shape, initial)
        if min(filters, units) < 1:
            raise ValueError(f"expected filters and units above 0; got {filters=}, {units=}")
        before = nn.Identity() if resize is None else Resize(checked_size(resize, 2, "resize"))
        size = self.input_shape[1:] if resize is None else resize
        backbone = Backbone(model, pretrained, stage, (self.input_shape[0], *size))
        channels, height, width = backbone.shape
        self.trunk = nn.Sequential(
            before,
            backbone,
            nn.Conv2d(channels, filters, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(filters * height * width, units),
            nn.ReLU(),
        )
        self.head = Regression(units, initial)


class Resize(nn.Module):
    """Bilinear resizing, with a wider filter where it shrinks.

    Args:
        size: (H, W) of the result.
    """

    def __init__(self, size: Sequence[int]) -> None:
        super().__init__()
        self.size = tuple(size)

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H', W') to (B, C, H, W) of the same dtype; computed in float32 at least, as a CPU has no other for it."""
        wide = input.to(torch.promote_types(input.dtype, torch.float32))
        return F.interpolate(wide, self.size, mode="bilinear", antialias=True).to(input.dtype)
