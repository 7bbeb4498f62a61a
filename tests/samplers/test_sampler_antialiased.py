"""The anti-aliased sampler against the mean of 16x16 samples per output pixel, and against bilinear where nothing shrinks."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from skimage.data import camera

from stn_lightning.geometry import normalised_to_pixel, pixel_to_normalised, regular_points
from stn_lightning.samplers import registry
from stn_lightning.testing import SamplerChecks
from stn_lightning.transforms import registry as transforms

antialiased, bilinear = registry["antialiased"], registry["bilinear"]
both = pytest.mark.parametrize("align_corners", [False, True])
paddings = pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
SIDE = 256


class TestAntialiased(SamplerChecks):
    name = "antialiased"
    variants = ({}, {"padding_mode": "reflection", "deterministic": True})


@pytest.fixture(scope="module")
def photograph():
    return torch.from_numpy(camera()[128 : 128 + SIDE, 128 : 128 + SIDE] / 255)[None, None]


@pytest.fixture
def noise():
    return torch.randn(2, 3, 11, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def affine(scale, degrees=0.0, shear=0.0):
    """Source of target in normalised coordinates of square images: stretched, sheared, then turned."""
    angle = math.radians(degrees)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)
    stretch = torch.tensor([[scale[0], shear], [0, scale[1]]], dtype=torch.float64)
    return torch.cat([turn @ stretch, torch.zeros(2, 1, dtype=torch.float64)], dim=1).view(1, 6)


def supersampled(image, transform, theta, size, count=16):
    """The mean of count x count samples of scipy in each output pixel."""
    fine = transform.grid(theta, (size[0] * count, size[1] * count))
    where = normalised_to_pixel(fine, image.shape[2:])[0].permute(2, 0, 1).flip(0).numpy()
    samples = map_coordinates(image[0, 0].numpy(), where, order=1, mode="grid-constant")
    return samples.reshape(size[0], count, size[1], count).mean(axis=(1, 3))


def psnr(image, reference):
    return -10 * math.log10(np.square(image.numpy() - reference).mean())


CASES = {  # transform, theta, output size, and decibels: what was measured when this was written, less one
    "1/2": ("affine", affine((1, 1)), (128, 128), 59),
    "1/4": ("affine", affine((1, 1)), (64, 64), 50),
    "1/8": ("affine", affine((1, 1)), (32, 32), 36),
    "1/2 turned": ("affine", affine((0.7, 0.7), 30), (90, 90), 55),
    "1/4 turned": ("affine", affine((0.7, 0.7), 30), (45, 45), 46),
    "1/8 turned": ("affine", affine((0.7, 0.7), 30), (22, 22), 37),
    "8x1": ("affine", affine((0.7, 0.7), 20), (180, 22), 53),
    "sheared": ("affine", affine((0.6, 0.6), 10, 0.4), (45, 45), 47),
    "projective": ("projective", torch.tensor([[0.8, 0.2, 0.0, -0.1, 0.9, 0.1, 0.3, -0.4]]).double(), (48, 48), 43),
}


@pytest.mark.parametrize(("name", "theta", "size", "decibels"), CASES.values(), ids=CASES)
def test_is_the_mean_over_the_footprint(photograph, name, theta, size, decibels):
    transform = transforms[name]()
    expected = supersampled(photograph, transform, theta, size)
    grid = transform.grid(theta, size)
    ours = psnr(antialiased()(photograph, grid)[0, 0], expected)
    assert ours > decibels
    assert ours > psnr(bilinear()(photograph, grid)[0, 0], expected) + 10


@both
@paddings
def test_magnified_is_exactly_bilinear(noise, padding, align_corners):
    """Also beyond the frame, and where a window that is much wider shows one pixel."""
    for theta, size in [(affine((0.5, 0.4), 20, 0.1), (9, 8)), (affine((0.8, 0.8), 75), (14, 13)), (affine((3, 3)), (1, 1))]:
        grid = (transforms["affine"]().grid(theta, size, align_corners) + 0.3).expand(2, -1, -1, -1)
        for dtype in (torch.float32, torch.float64):
            image, points = noise.to(dtype), grid.to(dtype)
            expected = bilinear(padding)(image, points, align_corners)
            assert torch.equal(antialiased(padding)(image, points, align_corners), expected)


@both
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("degrees", [0, 30, 90])
def test_turned_is_bilinear_to_rounding(degrees, dtype, align_corners):
    """Steps of one pixel, but for rounding: a kernel whose footprint grew by its root would be off by 1e-3."""
    image = torch.rand(1, 1, 224, 224, dtype=dtype, generator=torch.Generator().manual_seed(0))
    grid = transforms["affine"]().grid(affine((1, 1), degrees).to(dtype), (224, 224), align_corners)
    off = antialiased("border")(image, grid, align_corners) - bilinear("border")(image, grid, align_corners)
    assert off.abs().max() <= torch.finfo(dtype).eps


def test_each_point_has_its_own_footprint(noise):
    """The left half of the grid magnifies, the right half shrinks: the left is bilinear's, up to the last step."""
    x = torch.cat([torch.linspace(-0.9, 0, 8), torch.linspace(0.3, 2.7, 8)]).double()
    y = torch.linspace(-0.4, 0.4, 6).double()
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).expand(2, -1, -1, -1)
    ours, theirs = antialiased("reflection")(noise, grid), bilinear("reflection")(noise, grid)
    assert torch.equal(ours[..., :7], theirs[..., :7])
    assert (ours[..., 8:] - theirs[..., 8:]).abs().amin(dim=(0, 1, 2)).min() > 0


@pytest.mark.parametrize("turned", [False, True])
def test_only_the_side_that_shrinks_is_averaged(turned):
    """Shrunk eightfold across stripes of one pixel, where nothing of them is left, and along them, where all is."""

    def outputs(scale, size):
        image, grid = (torch.arange(64) % 2).double().expand(1, 1, 64, 64), transforms["affine"]().grid(affine(scale), size)
        if turned:
            image, grid = image.mT, grid.transpose(1, 2).flip(-1)
        return [kind("border")(image, grid) for kind in (antialiased, bilinear)]

    grey, _ = outputs((1, 0.9), (64, 8))
    torch.testing.assert_close(grey, torch.full_like(grey, 0.5), rtol=0, atol=1e-12)
    torch.testing.assert_close(*outputs((0.9, 1), (8, 64)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1.0, math.sqrt(2)])
def test_is_continuous_where_the_footprint_sets_in_and_is_full(noise, scale):
    outputs = []
    for off in (-1e-9, 1e-9):
        theta = affine((scale + off, scale + off), 30)
        outputs.append(antialiased("border")(noise[:1], transforms["affine"]().grid(theta, (11, 9))))
    torch.testing.assert_close(*outputs, rtol=0, atol=1e-7)


@paddings
def test_a_constant_stays_one_inside(padding):
    grid = 0.7 * regular_points((3, 3)).view(1, 3, 3, 2)
    output = antialiased(padding)(torch.full((1, 2, 40, 40), 0.3), grid)
    torch.testing.assert_close(output, torch.full((1, 2, 3, 3), 0.3), rtol=0, atol=1e-7)


def test_a_step_is_counted_in_pixels_of_the_input(noise):
    """A shift by a whole pixel from point to point, in either convention, is no footprint; a line has none across."""
    for align_corners in (False, True):
        columns = torch.arange(9).double()
        pixels = torch.stack([columns, torch.full((9,), 4.25).double()], dim=-1)
        for factor, same in ((1.0, True), (1.3, False)):
            grid = pixel_to_normalised(factor * pixels, (11, 9), align_corners).view(1, 1, 9, 2).expand(2, -1, -1, -1)
            ours, theirs = (kind("border")(noise, grid, align_corners) for kind in (antialiased, bilinear))
            assert torch.allclose(ours, theirs, rtol=0, atol=1e-12) == same
