"""Convolution of one channel with a fast gradient of its input."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

CHUNK = 8  # images, whose columns stay in the cache


class InputConvolution(nn.Conv2d):
    """``nn.Conv2d`` without stride or padding, for images of one channel that a spatial transformer made.

    Only behind a spatial transformer does a network's first convolution need the gradient of its input. Of one channel, oneDNN
    takes six times as long for it as for that of the weights. Here, on a CPU, it is a product and a sum of shifted images
    (``fold``), in a quarter of the time. The result is the same to rounding.

    Args:
        filters: number of filters.
        kernel: side of each.
    """

    def __init__(self, filters: int, kernel: int) -> None:
        super().__init__(1, filters, kernel)

    def forward(self, input: Tensor) -> Tensor:
        if not input.requires_grad or input.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(input)
        output: Tensor = _Convolution.apply(input, self.weight, self.bias)
        return output


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(input, weight)
        return F.conv2d(input, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (gradient,), (input, weight) = gradients, ctx.saved_tensors
        narrow = gradient.dtype  # that of autocast, where it is on
        of_weight = conv2d_weight(input.to(narrow), weight.shape, gradient)  # type: ignore[no-untyped-call]
        of_input = _input_gradient(gradient, weight, input.shape[2:])
        return of_input.to(input.dtype), of_weight.to(weight.dtype), gradient.sum((0, 2, 3)).to(weight.dtype)


def _input_gradient(gradient: Tensor, weight: Tensor, size: torch.Size) -> Tensor:
    """(B, 1, *size) of that of the output (B, F, H', W')."""
    columns = weight.flatten(1).T
    kernel = weight.shape[2:]
    chunks = (columns @ part.to(weight.dtype).contiguous().flatten(2) for part in torch.split(gradient, CHUNK))
    return torch.cat([F.fold(chunk, size, kernel) for chunk in chunks])
