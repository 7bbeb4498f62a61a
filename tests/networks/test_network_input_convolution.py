"""The first convolution behind a spatial transformer: that of torch, with another way to one of its gradients."""

import pytest
import torch
from torch import nn

from stn_lightning.networks import CNN
from stn_lightning.networks._input_convolution import InputConvolution


@pytest.fixture
def pair():
    """Ours and torch's, of the same weights."""
    torch.manual_seed(0)
    ours, theirs = InputConvolution(4, 5), nn.Conv2d(1, 4, 5)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def gradients(conv, images, dtype=None):
    images = images.clone().requires_grad_()
    with torch.autocast("cpu", dtype, enabled=dtype is not None):
        output = conv(images)
    weights = torch.linspace(-1, 1, output.numel()).view_as(output)
    return output, *torch.autograd.grad((output.float() * weights).sum(), [images, *conv.parameters()])


@pytest.mark.parametrize("count", [1, 8, 21])  # of images: less than a chunk, one, more
def test_output_and_gradients_are_those_of_torch(pair, count):
    images = torch.randn(count, 1, 12, 9)
    for ours, theirs in zip(*(gradients(conv, images) for conv in pair), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_gradients_under_autocast_have_the_precision_of_torch(pair):
    images = torch.randn(9, 1, 12, 12)
    exact = gradients(pair[1].double(), images.double())
    ours, theirs = (gradients(conv.float(), images, torch.bfloat16) for conv in pair)
    for name, mine, other, wanted in zip(("output", "input", "weight", "bias"), ours, theirs, exact, strict=True):
        assert mine.dtype == other.dtype, name
        off, allowed = (float((each.double() - wanted).detach().abs().max() / wanted.abs().max()) for each in (mine, other))
        assert off <= 2 * allowed + 1e-6, name


def test_first_and_second_derivatives_are_right():
    conv = InputConvolution(2, 3).double()
    images = torch.randn(2, 1, 5, 5, dtype=torch.float64, requires_grad=True)
    args = (images, conv.weight, conv.bias)
    call = lambda x, w, b: torch.func.functional_call(conv, {"weight": w, "bias": b}, (x,))
    assert torch.autograd.gradcheck(call, args)
    assert torch.autograd.gradgradcheck(call, args)


@pytest.mark.parametrize(("channels", "kind"), [(1, InputConvolution), (2, nn.Conv2d)])
def test_cnn_has_it_for_images_of_one_channel(channels, kind):
    assert type(CNN((channels, 28, 28), 10, parameters=50_000).stages["conv1"][0]) is kind
