"""``bounded`` keeps each parameter of theta within reach of where it starts."""

from functools import partial

import pytest
import torch

from stn_lightning.localisations import Bounded, FullyConnected, SoftArgmax
from stn_lightning.testing import LocalisationChecks

SHAPE = (1, 16, 16)
INITIAL = torch.tensor([[1.0, 0.0, 0.0, 0.0, 1.0, 0.0], [0.3, 0.1, -0.7, 0.2, 0.4, 0.6]])
REACH = [0.5, 0.1, 1.0, 0.1, 0.5, 2.0]
NET = partial(FullyConnected, units=(8,))


class TestBounded(LocalisationChecks):
    name = "bounded"
    variants = ({}, {"reach": REACH})


def pushed(far, reach=REACH):
    """A net whose layers would send theta as far away as asked."""
    torch.manual_seed(0)
    net = Bounded(SHAPE, INITIAL, NET, reach)
    with torch.no_grad():
        net.head.weight.normal_(std=far)
    return net


@pytest.mark.parametrize("reach", [0.01, 0.5, REACH])
def test_initial_theta_is_exactly_the_given_one(reach):
    theta = Bounded(SHAPE, INITIAL, NET, reach)(torch.randn(5, *SHAPE))
    assert torch.equal(theta, INITIAL.expand(5, -1, -1))


@pytest.mark.parametrize("far", [0.1, 10.0, 1e6])
def test_theta_stays_within_reach(far):
    theta = pushed(far)(torch.randn(50, *SHAPE))
    moved = (theta - INITIAL).abs()
    assert (moved <= torch.tensor(REACH) * (1 + 1e-6)).all()
    assert moved.max() > 0


def test_small_moves_are_those_of_the_net_itself():
    """To third order: tanh(t) = t - t^3 / 3 + ..."""
    net, x = pushed(1e-3, 0.5), torch.randn(20, *SHAPE)
    plain = net.head(net.trunk(x)).detach()
    assert 1e-4 < (plain - INITIAL).abs().max() < 0.02
    torch.testing.assert_close(net(x), plain, rtol=0, atol=float(((plain - INITIAL).abs().max() ** 3) / (3 * 0.5**2)) + 1e-7)


def test_saturation_says_how_much_gradient_is_left():
    net, x = pushed(0.5).double(), torch.randn(20, *SHAPE, dtype=torch.float64)
    unbounded = net.head(net.trunk(x)).detach().requires_grad_()
    net.trunk, net.head = torch.nn.Identity(), torch.nn.Identity()
    net.input_shape = tuple(unbounded.shape[1:])
    theta = net(unbounded)
    (left,) = torch.autograd.grad(theta.sum(), unbounded)
    saturation = net.saturation(theta)
    torch.testing.assert_close(left, 1 - saturation**2, rtol=0, atol=1e-6)
    assert saturation.max() > 0.9
    assert net.saturation(INITIAL.double()[None]).max() == 0


def test_any_net_can_be_bounded():
    net = Bounded((3, 32, 32), INITIAL, SoftArgmax, 0.2)
    assert torch.equal(net(torch.rand(2, 3, 32, 32)), INITIAL.expand(2, -1, -1))


@pytest.mark.parametrize("reach", [0.0, -1.0, float("nan"), [0.5, 0.5], [0.5] * 5 + [0.0], [[0.5] * 6]], ids=str)
def test_reach_that_is_none_is_refused(reach):
    with pytest.raises(ValueError, match="expected reach above 0, one number or 6; got"):
        Bounded(SHAPE, INITIAL, NET, reach)


def test_net_with_a_feature_map_is_bounded_behind_it():
    net = Bounded((3, 32, 32), torch.zeros(1, 2), SoftArgmax, reach=0.1)
    torch.nn.init.normal_(net.trunk[0].weight, std=100)
    images = torch.rand(2, 3, 32, 32)
    theta = net(images)
    assert 0 < theta.abs().max() < 0.1
    assert torch.equal(net.point(net.see(images)), theta)
