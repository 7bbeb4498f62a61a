"""Backbones of timm, as they give feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import timm
import torch
from torch import Tensor, nn


class Backbone(nn.Module):
    """A timm model up to one of its feature maps.

    Args:
        model: name of a timm model, with or without the tag of its weights.
        pretrained: whether to load its weights from the Hugging Face hub, or its cache on this machine.
        stage: index of the feature map; -1 is the last.
        input_shape: (C, H, W) of the input.

    Attributes:
        shape: (C, H, W) of the feature map.

    Raises:
        ValueError: if there is no such model, stage or weights, or the model does not take such an input.
    """

    def __init__(self, model: str, pretrained: bool, stage: int, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        channels, *size = input_shape
        features = _create(model, pretrained, stage, channels, size)
        (stride,) = features.feature_info.reduction()
        if min(size) < stride:
            raise ValueError(
                f"expected a feature map of at least {stride}x{stride}, the stride of {model!r} at {stage=}; "
                f"got {size[0]}x{size[1]}; an earlier stage has a smaller stride, and resize enlarges the map"
            )
        self.features: nn.Module = features
        self.channels_last = str(getattr(features, "output_fmt", "NCHW")).endswith("NHWC")
        try:
            with torch.no_grad():
                self.shape = tuple(self.eval()(torch.zeros(1, *input_shape)).shape[1:])
        except (RuntimeError, AssertionError, ValueError) as e:
            multiples = tuple(-(-n // stride) * stride for n in size)
            raise ValueError(
                f"expected a feature map of a size that {model!r} takes, got {size[0]}x{size[1]}: {e}; "
                f"resize={multiples} gives multiples of its stride {stride}"
            ) from e
        self.train()

    def forward(self, input: Tensor) -> Tensor:
        """(B, *input_shape) input to (B, *shape) features."""
        features: Tensor = self.features(input)[0]
        return features.permute(0, 3, 1, 2) if self.channels_last else features


def _create(model: str, pretrained: bool, stage: int, channels: int, size: Sequence[int]) -> Any:
    name = model.partition(".")[0]
    if not timm.is_model(name):
        close = " or ".join(map(repr, get_close_matches(name, timm.list_models(), n=3)))
        hint = f"did you mean {close}?" if close else "timm.list_models() has the names"
        raise ValueError(f"expected the name of a timm model as model, got {model!r}; {hint}")
    options: dict[str, Any] = {"features_only": True, "out_indices": (stage,), "in_chans": channels}
    cfg = timm.get_pretrained_cfg(name)
    if cfg is not None and cfg.fixed_input_size:
        options["img_size"] = tuple(size)
    try:
        return timm.create_model(model, pretrained=pretrained, **options)
    except OSError as e:
        raise ValueError(
            f"expected the pretrained weights of {model!r} from the Hugging Face hub, or in its cache on this machine; "
            f"got {type(e).__name__}: {e} Possible: pretrained=False, or internet at the first time, which fills the cache"
        ) from e
    except Exception as e:  # timm's models raise what they like
        got = f"{model!r} with {stage=}, {pretrained=}, C, H, W = {(channels, *size)}: {type(e).__name__}: {e}"
        raise ValueError(f"expected a model, stage and size that timm has, got {got}") from e
