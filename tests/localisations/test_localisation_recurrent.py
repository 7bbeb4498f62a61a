"""``recurrent`` gives one theta after the other."""

from functools import partial

import pytest
import torch
from torch import nn

from stn_lightning.localisations import Bounded, FullyConnected, Recurrent, SoftArgmax
from stn_lightning.testing import LocalisationChecks

SHAPE = (1, 16, 16)
INITIAL = torch.linspace(-1, 1, 18).view(3, 6)
NET = partial(FullyConnected, units=(8,))


class TestRecurrent(LocalisationChecks):
    name = "recurrent"
    variants = ({}, {"units": 8})


def awake(initial=INITIAL, **options):
    torch.manual_seed(0)
    net = Recurrent(SHAPE, initial, NET, **{"units": 5, **options})
    with torch.no_grad():
        net.head.weight.normal_()
    return net


def test_thetas_are_those_of_pytorchs_gru_on_the_same_features():
    net, x = awake(), torch.randn(4, *SHAPE)
    features, steps = net.trunk
    gru = nn.GRU(8, 5, batch_first=True)
    gru.load_state_dict({f"{name}_l0": value for name, value in steps.cell.state_dict().items()})
    states, _ = gru(features(x)[:, None].expand(-1, 3, -1))
    torch.testing.assert_close(net(x), states @ net.head.weight.T + INITIAL)


def test_more_steps_share_the_weights_and_go_on():
    """Each step adds a bias, and nothing changes before."""
    three, five = awake(), awake(torch.cat([INITIAL, INITIAL[:2]]))
    five.trunk.load_state_dict(three.trunk.state_dict())
    with torch.no_grad():
        five.head.weight.copy_(three.head.weight)
    count = [sum(p.numel() for p in net.parameters()) for net in (three, five)]
    assert count[1] - count[0] == 2 * 6
    x = torch.randn(4, *SHAPE)
    torch.testing.assert_close(five(x)[:, :3], three(x))
    assert (five(x)[:, 3:] - INITIAL[:2] - (five(x)[:, :2] - INITIAL[:2])).abs().min() > 0


def test_a_step_depends_on_those_before():
    net, x = awake(), torch.randn(4, *SHAPE)
    moved = net(x) - INITIAL
    assert (moved[:, 1] - moved[:, 0]).abs().max() > 0.1
    with torch.no_grad():
        net.trunk[1].cell.weight_hh.zero_()
        net.trunk[1].cell.bias_ih[5:10] = -100  # the update gate: forget the state
    moved = net(x) - INITIAL
    torch.testing.assert_close(moved[:, 1], moved[:, 0])


def test_bounded_keeps_it_within_reach():
    torch.manual_seed(0)
    net = Bounded(SHAPE, INITIAL, partial(Recurrent, localisation=NET), reach=0.25)
    with torch.no_grad():
        net.head.weight.normal_(std=100)
    moved = (net(torch.randn(20, *SHAPE)) - INITIAL).abs()
    assert 0.2 < moved.max() <= 0.25 * (1 + 1e-6)


def test_net_with_a_feature_map_keeps_it():
    net = Recurrent((3, 64, 64), INITIAL, SoftArgmax, units=4)
    seen = net.see(torch.randn(2, 3, 64, 64))
    assert seen.shape[1] > 3
    assert torch.equal(net.point(seen), INITIAL.expand(2, -1, -1))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"units": 0}, "expected units above 0, got 0"),
        ({"localisation": partial(Bounded, localisation=NET)}, r"ends in a Regression, got Bounded; .*'bounded'"),
        ({"localisation": partial(Recurrent, localisation=NET)}, "ends in a Regression, got Recurrent"),
    ],
    ids=["units", "bounded", "recurrent"],
)
def test_arguments_that_do_not_fit(options, text):
    with pytest.raises(ValueError, match=text):
        Recurrent(SHAPE, INITIAL, **options)
