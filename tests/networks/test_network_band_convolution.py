"""The convolutions of CNN: those of torch, with another way to their gradients."""

import pytest
import torch
from torch import nn

from stn_lightning.networks._band_convolution import BandConvolution


@pytest.fixture(params=[(1, 12, 9), (3, 10, 7)], ids=["one channel", "few columns"])
def pair(request):
    """Ours and torch's, of the same weights, and the shape of an image."""
    torch.manual_seed(0)
    channels = request.param[0]
    ours, theirs = BandConvolution(channels, 4, 5), nn.Conv2d(channels, 4, 5)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs, request.param


def gradients(conv, images, dtype=None):
    images = images.clone().requires_grad_()
    with torch.autocast("cpu", dtype, enabled=dtype is not None):
        output = conv(images)
    weights = torch.linspace(-1, 1, output.numel()).view_as(output)
    return output, *torch.autograd.grad((output.float() * weights).sum(), [images, *conv.parameters()])


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_output_and_gradients_have_the_precision_of_torch(pair, dtype):
    ours, theirs, shape = pair
    images = torch.randn(21, *shape)
    exact = gradients(theirs.double(), images.double())
    mine, other = (gradients(conv.float(), images, dtype) for conv in (ours, theirs))
    for name, a, b, wanted in zip(("output", "input", "weight", "bias"), mine, other, exact, strict=True):
        assert a.dtype == b.dtype, name
        off, allowed = (float((each.detach() - wanted.detach()).abs().max() / wanted.detach().abs().max()) for each in (a, b))
        assert off <= max(2 * allowed, torch.finfo(a.dtype).eps / 2, torch.finfo(dtype or a.dtype).eps), name


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_any_layout_of_the_input_gives_the_same(pair, layout):
    ours, theirs, shape = pair
    images = torch.randn(2, *shape).to(memory_format=layout)
    for a, b in zip(gradients(ours, images), gradients(theirs, images), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_first_and_second_derivatives_are_right():
    conv = BandConvolution(1, 2, 3).double()
    images = torch.randn(2, 1, 5, 5, dtype=torch.float64, requires_grad=True)
    args = (images, conv.weight, conv.bias)
    call = lambda x, w, b: torch.func.functional_call(conv, {"weight": w, "bias": b}, (x,))
    assert torch.autograd.gradcheck(call, args)
    assert torch.autograd.gradgradcheck(call, args)


def test_the_bands_are_used_where_they_are_meant_to_be(monkeypatch):
    """Else the tests above would compare torch with itself."""
    monkeypatch.setattr(nn.Conv2d, "forward", lambda self, input: pytest.fail("nn.Conv2d computed"))
    BandConvolution(1, 2, 5)(torch.zeros(1, 1, 12, 12, requires_grad=True))
    with torch.autocast("cpu", torch.bfloat16):
        BandConvolution(3, 2, 5)(torch.zeros(1, 3, 10, 7, requires_grad=True))
    with pytest.raises(pytest.fail.Exception):
        BandConvolution(3, 2, 5)(torch.zeros(1, 3, 10, 7, requires_grad=True))
