"""Where `soft_argmax` points."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import multivariate_normal

from stn_lightning.geometry import pixel_to_normalised
from stn_lightning.localisations import SoftArgmax
from stn_lightning.transforms import Affine, Attention, Projective, Similarity, Translation

SHAPE = (3, 64, 48)
SHARPNESS = 1.5


def make(initial):
    torch.manual_seed(0)
    part = SoftArgmax(SHAPE, initial, sharpness=SHARPNESS).eval()
    attention, _ = part.trunk
    torch.nn.init.normal_(attention.weight, std=0.5)
    return part, attention


CENTRES = torch.tensor([[0.0, 0.0], [-0.5, 0.25], [1.0, -1.0]])


def places(size, logits):
    """Mean places (..., 2) under the softmax of logits (..., h, w), by scipy."""
    height, width = size
    weights = softmax(logits, axis=(-2, -1))
    x, y = (np.arange(width) + 0.5) / width * 2 - 1, (np.arange(height) + 0.5) / height * 2 - 1
    return np.stack([(weights.sum(-2) * x).sum(-1), (weights.sum(-1) * y).sum(-1)], axis=-1)


@pytest.mark.parametrize("heads", [1, 3])
def test_theta_goes_with_the_mean_place_of_attention(heads):
    """The oracles are scipy's normal density around the first window, its softmax, and a mean over the centres of pixels."""
    part, attention = make(CENTRES[:heads])
    seen = []
    attention.register_forward_hook(lambda module, args, output: seen.append(output.detach().numpy()))
    theta = part(torch.randn(5, *SHAPE))
    (maps,) = seen
    size = maps.shape[2:]
    y, x = np.meshgrid(*[(np.arange(n) + 0.5) / n * 2 - 1 for n in size], indexing="ij")
    prior = np.stack([multivariate_normal(centre, 0.25).logpdf(np.stack([x, y], 2)) for centre in CENTRES[:heads].numpy()])
    shift = places(size, SHARPNESS * maps.astype(np.float64) + prior) - places(size, prior)
    assert np.abs(shift).max() > 0.05
    np.testing.assert_allclose(theta.detach().numpy(), CENTRES[:heads].numpy() + shift, rtol=0, atol=1e-6)


def test_attention_to_one_pixel_alone_points_there():
    """From the centre, where the prior begins."""
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
    torch.testing.assert_close(shift[:, 0, 0], part.trunk(part.see(images)), rtol=0, atol=1e-6)
    assert part.trunk(part.see(images)).abs().max() > 0.05


def test_what_is_out_of_range_is_refused():
    with pytest.raises(ValueError, match="sharpness above 0, got 0"):
        SoftArgmax(SHAPE, torch.zeros(1, 2), sharpness=0)
    with pytest.raises(ValueError, match="of 2, 3, 4, 6, 8 parameters, of which two shift; got 32"):
        SoftArgmax(SHAPE, torch.zeros(1, 32))
