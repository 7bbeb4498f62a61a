"""Linear and trilinear sampling, and grids on a line and in space, against scipy and torch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from stn_lightning.geometry import composed_grid, grid_sample, normalised_to_pixel
from stn_lightning.samplers import Linear, Trilinear
from stn_lightning.transforms import Affine1d, Affine3d

SIZES = {Linear: (9,), Trilinear: (4, 6, 5)}
MODES = {"border": "nearest", "zeros": "grid-constant", "reflection": None}
both = pytest.mark.parametrize("align_corners", [False, True], ids=["", "align_corners"])
samplers = pytest.mark.parametrize("sampler", [Linear, Trilinear], ids=["linear", "trilinear"])
ways = pytest.mark.parametrize("deterministic", [False, True], ids=["", "deterministic"])


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def drawn(sampler, points=200, reach=1.7):
    """A map (2, 3, *size), and points of which many lie outside."""
    size = SIZES[sampler]
    shape = [1] * (len(size) - 1) + [points, len(size)]
    image = torch.randn(2, 3, *size, dtype=torch.float64)
    return image, reach * (2 * torch.rand(2, *shape, dtype=torch.float64) - 1)


def by_scipy(image, grid, padding_mode, align_corners):
    mode = MODES[padding_mode] or ("mirror" if align_corners else "reflect")
    places = normalised_to_pixel(grid, image.shape[2:], align_corners).flip(-1).flatten(1, -2).numpy()
    maps = [
        [map_coordinates(channel, where.T, order=1, mode=mode, prefilter=False) for channel in sample]
        for sample, where in zip(image.numpy(), places, strict=True)
    ]
    return torch.from_numpy(np.array(maps)).view(*image.shape[:2], *grid.shape[1:-1])


@both
@ways
@samplers
@pytest.mark.parametrize("padding_mode", MODES)
def test_sampling_is_that_of_scipy(sampler, padding_mode, deterministic, align_corners):
    image, grid = drawn(sampler)
    output = sampler(padding_mode, deterministic)(image, grid, align_corners)
    torch.testing.assert_close(output, by_scipy(image, grid, padding_mode, align_corners), rtol=0, atol=1e-13)


@both
@pytest.mark.parametrize("padding_mode", MODES)
def test_trilinear_sampling_is_that_of_torch(padding_mode, align_corners):
    image, grid = drawn(Trilinear)
    expected = F.grid_sample(image, grid, "bilinear", padding_mode, align_corners)
    assert torch.equal(Trilinear(padding_mode)(image, grid, align_corners), expected)


@both
@pytest.mark.parametrize("padding_mode", MODES)
def test_line_is_sampled_as_every_row_of_an_image_of_equal_rows(padding_mode, align_corners):
    """Of torch, at rows inside the image: values, and gradients in signal and points."""
    signal, points = (x.requires_grad_() for x in drawn(Linear))
    rows = signal.unsqueeze(2).expand(-1, -1, 5, -1)
    heights = torch.zeros_like(points).uniform_(-0.5, 0.5)
    expected = F.grid_sample(rows, torch.cat([points, heights], -1)[:, None], "bilinear", padding_mode, align_corners)[:, :, 0]
    output = grid_sample(signal, points, "bilinear", padding_mode, align_corners)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-13)
    factor = torch.randn_like(output)
    ours, theirs = (torch.autograd.grad((o * factor).sum(), (signal, points)) for o in (output, expected))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_line_of_one_sample_is_exact():
    signal, points = torch.randn(2, 1, 1, dtype=torch.float64), torch.linspace(-1, 1, 5, dtype=torch.float64).view(1, 5, 1)
    for align_corners in (False, True):
        output = Linear("border")(signal, points.expand(2, -1, -1), align_corners)
        assert torch.equal(output, signal.expand(-1, -1, 5))


@both
def test_affine_grid_of_space_is_that_of_torch(align_corners):
    theta = Affine3d().identity().double() + 0.5 * torch.randn(4, 12, dtype=torch.float64)
    expected = F.affine_grid(theta.view(4, 3, 4), [4, 1, 3, 5, 4], align_corners)
    torch.testing.assert_close(Affine3d().grid(theta, (3, 5, 4), align_corners), expected, rtol=0, atol=1e-14)


@both
def test_affine_grid_of_a_line_is_the_middle_row_of_torchs(align_corners):
    theta = torch.randn(4, 2, dtype=torch.float64)
    plane = torch.zeros(4, 2, 3, dtype=torch.float64)
    plane[:, 0, 0], plane[:, 0, 2] = theta.T
    expected = F.affine_grid(plane, [4, 1, 3, 7], align_corners)[:, 1, :, :1]
    torch.testing.assert_close(Affine1d().grid(theta, (7,), align_corners), expected, rtol=0, atol=1e-15)


def test_turns_of_space_compose_and_invert_as_scipys():
    one, two = Rotation.random(5, random_state=0), Rotation.random(5, random_state=1)
    transform = Affine3d()

    def theta(rotation):
        return torch.from_numpy(np.concatenate([rotation.as_matrix(), np.zeros((5, 3, 1))], axis=2)).flatten(1)

    torch.testing.assert_close(transform.compose(theta(one), theta(two)), theta(one * two), rtol=0, atol=1e-14)
    torch.testing.assert_close(transform.inverse(theta(one)), theta(one.inv()), rtol=0, atol=1e-14)


@both
@pytest.mark.parametrize("transform", [Affine1d(), Affine3d()], ids=["1d", "3d"])
def test_path_of_two_warps_is_their_product(transform, align_corners):
    thetas = [
        transform.identity().double() + 0.3 * torch.randn(2, transform.num_params, dtype=torch.float64) for _ in range(2)
    ]
    size = (5, 4, 6)[: transform.ndim]
    grids = [transform.grid(theta, size, align_corners) for theta in thetas]
    expected = transform.grid(transform.compose(*thetas), size, align_corners)
    torch.testing.assert_close(composed_grid(grids, size, align_corners), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("transform", "said"), [(Affine1d(), r"1 positive integer \(L\)"), (Affine3d(), r"3 .*\(D, H, W\)")], ids=["1d", "3d"]
)
def test_sizes_of_another_dimension_are_refused(transform, said):
    with pytest.raises(ValueError, match=rf"expected {said}, got"):
        transform.grid(transform.identity()[None], (5, 4))


@pytest.mark.parametrize(
    ("sampler", "said"), [(Linear(), r"\(B, C, L\)"), (Trilinear(), r"\(B, C, D, H, W\)")], ids=["1d", "3d"]
)
def test_maps_of_another_dimension_are_refused(sampler, said):
    with pytest.raises(ValueError, match=rf"expected input of shape {said}, got"):
        sampler(torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4, sampler.ndim))
