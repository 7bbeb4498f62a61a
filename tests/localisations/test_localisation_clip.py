"""Clipping of the gradient of theta, sample by sample: numpy is the oracle."""

import numpy as np
import pytest
import torch

from stn_lightning.localisations import FullyConnected
from stn_lightning.localisations._clip import clipped_gradient, with_clipped_gradient

SHAPE = (1, 6, 6)
INITIAL = torch.zeros(2, 3)


def by_numpy(gradient, times):
    gradient = gradient.numpy()
    length = np.sqrt((gradient**2).sum(2, keepdims=True))
    limit = times * np.sort(length[length > 0])[(np.count_nonzero(length) - 1) // 2]  # the lower median, as torch's
    return np.where(length > limit, gradient / np.where(length > 0, length, 1) * limit, gradient)


def heavy(batch=9):
    """Gradients of which one is a million times the others, and some are zero."""
    gradient = torch.randn(batch, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    gradient[3] *= 1e6
    gradient[[1, 4, 5, 6, 7, 8], 0] = 0
    return gradient


@pytest.mark.parametrize("times", [0.5, 1.0, 3.0, 1e9])
def test_no_gradient_is_longer_than_so_many_medians(times):
    np.testing.assert_allclose(clipped_gradient(heavy(), times), by_numpy(heavy(), times), rtol=1e-12)


def test_gradients_of_zero_stay_zero_and_alone_spoil_nothing():
    assert torch.equal(clipped_gradient(torch.zeros(4, 2, 3), 2.0), torch.zeros(4, 2, 3))


@pytest.mark.parametrize("scale", [2.0**-4, 2.0**16], ids=["accumulation", "float16 scaling"])
def test_scaled_loss_scales_the_clipped_gradient(scale):
    """What accumulation and a scaler of losses rely on."""
    assert torch.equal(clipped_gradient(scale * heavy(), 2.0), scale * clipped_gradient(heavy(), 2.0))


def test_theta_itself_is_not_touched():
    theta = heavy().requires_grad_()
    output = with_clipped_gradient(theta, 2.0)
    assert torch.equal(output, theta)
    output.backward(heavy())
    assert torch.equal(theta.grad, clipped_gradient(heavy(), 2.0))


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_net_learns_from_clipped_gradients(compiled):
    torch.manual_seed(0)
    net = FullyConnected(SHAPE, INITIAL, (4,))
    x, upstream = torch.randn(9, *SHAPE), heavy().float()
    net.theta_clip = 2.0
    forward = torch.compile(net, backend="aot_eager", fullgraph=True) if compiled else net
    forward(x).backward(upstream)
    found = net.head.bias.grad.clone()
    torch.testing.assert_close(found, clipped_gradient(upstream, 2.0).sum(0).flatten(), rtol=1e-5, atol=1e-6)
