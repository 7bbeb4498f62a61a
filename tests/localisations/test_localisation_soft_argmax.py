"""Where `soft_argmax` points."""

import numpy as np
import pytest
import torch
from scipy.special import softmax

from stn_lightning.geometry import pixel_to_normalised
from stn_lightning.localisations import SoftArgmax
from stn_lightning.transforms import Affine, Attention, Projective, Similarity, Translation

SHAPE = (3, 64, 48)
SHARPNESS = 1.5


def make(initial):
    torch.manual_seed(0)
    part = SoftArgmax(SHAPE, initial, sharpness=SHARPNESS).eval()
    *_, attention, _ = part.trunk
    torch.nn.init.normal_(attention.weight, std=0.5)
    return part, attention


@pytest.mark.parametrize("heads", [1, 3])
def test_place_is_the_mean_under_the_softmax(heads):
    """The oracles are scipy's softmax and a mean over the centres of the map's pixels."""
    part, attention = make(torch.zeros(heads, 2))
    seen = []
    attention.register_forward_hook(lambda module, args, output: seen.append(output.detach().numpy()))
    theta = part(torch.randn(5, *SHAPE))
    (maps,) = seen
    height, width = maps.shape[2:]
    weights = softmax(SHARPNESS * maps.astype(np.float64), axis=(2, 3))
    x, y = (np.arange(width) + 0.5) / width * 2 - 1, (np.arange(height) + 0.5) / height * 2 - 1
    expected = np.stack([(weights.sum(2) * x).sum(2), (weights.sum(3) * y).sum(2)], axis=2)
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(theta.detach().numpy(), expected, rtol=0, atol=1e-6)


def test_head_that_sees_one_pixel_points_at_its_centre():
    part, _ = make(torch.zeros(1, 2))
    *_, place = part.trunk
    maps = torch.zeros(1, 1, 4, 3)
    maps[0, 0, 3, 1] = 100
    torch.testing.assert_close(place(maps)[0], pixel_to_normalised(torch.tensor([1.0, 3.0]), (4, 3)))


@pytest.mark.parametrize(
    "transform", [Translation(0.5), Attention(), Similarity(), Affine(), Projective()], ids=lambda t: type(t).__name__
)
def test_point_shifts_the_window_and_changes_nothing_else(transform):
    initial = transform.initial()[None]
    part, _ = make(initial)
    images = torch.randn(4, *SHAPE)
    grid, start = (transform.grid(theta, (8, 8)) for theta in (part(images)[:, 0], initial.expand(4, -1)))
    shift = grid - start
    torch.testing.assert_close(shift, shift[:, :1, :1].expand_as(shift), rtol=0, atol=1e-6)
    torch.testing.assert_close(shift[:, 0, 0], part.trunk(images), rtol=0, atol=1e-6)
    assert part.trunk(images).abs().max() > 0.05


def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match="sharpness above 0, got 0"):
        SoftArgmax(SHAPE, torch.zeros(1, 2), sharpness=0)
    with pytest.raises(ValueError, match="of 2, 3, 4, 6, 8 parameters, of which two shift; got 32"):
        SoftArgmax(SHAPE, torch.zeros(1, 32))
