"""``padding_mode="background"``: the oracle is a larger image, padded by hand with the value of the background."""

import pytest
import torch
import torch.nn.functional as F

from stn_lightning.geometry import normalised_to_pixel, pixel_to_normalised
from stn_lightning.samplers import registry
from stn_lightning.testing import SamplerChecks

MARGIN = 40
SIZE = (7, 9)
kernels = pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "bspline", "antialiased"])
both = pytest.mark.parametrize("align_corners", [False, True], ids=["", "align_corners"])


class TestBilinear(SamplerChecks):
    name = "bilinear"
    variants = ({"padding_mode": "background"},)


def framed(image):
    """The image, and by hand the mean of its outermost pixels for each sample and channel."""
    mask = torch.ones(SIZE, dtype=torch.bool)
    mask[1:-1, 1:-1] = False
    return image[:, :, mask].mean(2)[:, :, None, None]


def padded(image, value):
    return F.pad(image - value, [MARGIN] * 4) + value


def smooth_grid(reach=1.6):
    """Points up to 0.6 outside."""
    torch.manual_seed(0)
    line = torch.linspace(-reach, reach, 11, dtype=torch.float64)
    regular = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)
    return regular.expand(2, -1, -1, -1) + 0.1 * torch.rand(2, 11, 11, 2, dtype=torch.float64)


@both
@kernels
def test_outside_is_the_background_of_an_image_padded_by_hand(name, align_corners):
    torch.manual_seed(1)
    leaves = 5 + torch.randn(2, 3, *SIZE, dtype=torch.float64).requires_grad_(), smooth_grid().requires_grad_()
    upstream = torch.randn(2, 3, 11, 11, dtype=torch.float64)

    def by_hand(image, grid):
        large = padded(image, framed(image))
        pixels = normalised_to_pixel(grid, SIZE, align_corners) + MARGIN
        return registry[name]()(large, pixel_to_normalised(pixels, large.shape[2:], align_corners), align_corners)

    ours = registry[name]("background")(*leaves, align_corners)
    expected = by_hand(*leaves)
    tolerance = 1e-6 if name == "bspline" else 1e-12  # a spline's ringing ends 16 pixels from the frame
    if name == "antialiased":  # it counts steps in pixels by the same rule in either image
        tolerance = 1e-9
    torch.testing.assert_close(ours, expected, rtol=0, atol=tolerance)
    leaves = [leaf for leaf in leaves if name != "nearest" or leaf is leaves[0]]
    for mine, hand in zip(*(torch.autograd.grad(y, leaves, upstream) for y in (ours, expected)), strict=True):
        torch.testing.assert_close(mine, hand, rtol=1e-6, atol=100 * tolerance)


@kernels
def test_standardised_image_has_its_standardised_background(name):
    """Zeros would be a border of another value (pytorch/tutorials#1117); the background changes with the image."""
    torch.manual_seed(1)
    image = torch.rand(2, 3, *SIZE, dtype=torch.float64)
    mean, std = torch.rand(2, 1, 3, 1, 1, dtype=torch.float64) + 0.1
    sampler = registry[name]("background")
    standardised = sampler((image - mean) / std, smooth_grid())
    torch.testing.assert_close(standardised, (sampler(image, smooth_grid()) - mean) / std, rtol=0, atol=1e-12)
    zeros = registry[name]()
    off = zeros((image - mean) / std, smooth_grid()) - (zeros(image, smooth_grid()) - mean) / std
    assert off.abs().max() > 0.1


@kernels
def test_background_of_black_is_exactly_black(name):
    image = torch.zeros(2, 1, *SIZE)
    image[:, :, 2:-2, 2:-2] = torch.rand(2, 1, 3, 5)
    grid = smooth_grid().float()
    assert torch.equal(registry[name]("background")(image, grid), registry[name]("zeros")(image, grid))


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 2), (3, 1)], ids=str)
def test_every_pixel_of_a_thin_image_is_on_its_frame(size):
    image = torch.rand(2, 3, *size, dtype=torch.float64)
    far = torch.full((2, 1, 1, 2), 9.0, dtype=torch.float64)
    output = registry["bilinear"]("background")(image, far)
    torch.testing.assert_close(output[..., 0, 0], image.mean((2, 3)), rtol=0, atol=1e-12)
