"""The localisation net of co-localisation, as the paper prints it and as it must have been."""

import pytest
import torch

from stn_lightning.localisations import ShallowConvolutional
from stn_lightning.networks import count_parameters

SHAPE = (1, 84, 84)
INITIAL = torch.tensor([[0.5, 0.1, -0.2]])


@pytest.mark.parametrize(("options", "expected"), [({}, 113_659), ({"stride": 4, "padding": 0}, 5_947)])
def test_parameters(options, expected):
    """The paper says 100,000, and a stride of 4 pixels: the two do not agree, with a padding of 4 they nearly do."""
    assert count_parameters(ShallowConvolutional(SHAPE, INITIAL, **options)) == expected


@pytest.mark.parametrize("options", [{}, {"stride": 4, "padding": 0}, {"units": [5]}])
def test_starts_at_its_initial_theta_and_leaves_it(options):
    net = ShallowConvolutional(SHAPE, INITIAL, **options)
    theta = net(torch.rand(3, *SHAPE))
    assert torch.equal(theta, INITIAL.expand(3, 1, 3))
    theta.square().sum().backward()
    assert net.head.weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("options", "named"),
    [({"filters": 0}, "filters=0"), ({"stride": 0}, "stride=0"), ({"padding": -1}, "padding=-1"), ({"units": []}, "units=")],
)
def test_argument_out_of_range_is_named(options, named):
    with pytest.raises(ValueError, match=named):
        ShallowConvolutional(SHAPE, INITIAL, **options)


@pytest.mark.parametrize(("side", "stride", "padding"), [(10, 1, 0), (13, 4, 0), (2, 1, 4)])
def test_smallest_feature_map(side, stride, padding):
    options = {"stride": stride, "padding": padding}
    ShallowConvolutional((1, side, side), INITIAL, **options)(torch.rand(1, 1, side, side))
    with pytest.raises(ValueError, match=f"at least {side}x{side}, got {side}x{side - 1}"):
        ShallowConvolutional((1, side, side - 1), INITIAL, **options)
