"""The product of several warps against products of matrices, scipy's interpolation and a chain of torch's own layers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import map_coordinates

from stn_lightning.geometry import composed_grid, mean_affine, normalised_to_pixel, regular_points
from stn_lightning.transforms import ThinPlateSpline

ROUNDING = 1e-12  # products of a few float64 matrices of entries up to 10
both = pytest.mark.parametrize("align_corners", [False, True])


def matrices(count, batch, ndim=2, spread=0.6):
    generator = torch.Generator().manual_seed(0)
    spread = spread * torch.randn(count, batch, ndim, ndim + 1, generator=generator, dtype=torch.float64)
    return torch.eye(ndim, ndim + 1, dtype=torch.float64) + spread


def product(matrices):
    last = torch.eye(matrices.shape[-1], dtype=torch.float64)[-1:]
    full = torch.cat([matrices, last.expand(*matrices.shape[:2], -1, -1)], 2)
    return torch.from_numpy(np.stack([np.linalg.multi_dot(list(each)) for each in full.transpose(0, 1).numpy()]))[:, :-1]


def affine_grids(thetas, sizes, align_corners=False):
    return [F.affine_grid(t, (len(t), 1, *s), align_corners=align_corners) for t, s in zip(thetas, sizes, strict=True)]


def spline_grid(size, bend=0.15, batch=2):
    transform, generator = ThinPlateSpline(), torch.Generator().manual_seed(1)
    theta = transform.identity() + bend * torch.randn(batch, transform.num_params, generator=generator)
    return transform.grid(theta.double(), size)


@both
@pytest.mark.parametrize("sizes", [[(54, 54), (27, 27), (13, 13)], [(5, 9), (30, 4), (6, 6)]])
def test_affine_warps_make_the_product_of_their_matrices_wherever_they_look(sizes, align_corners):
    thetas = matrices(3, 4)
    grids = affine_grids(thetas, sizes, align_corners)
    assert max(grid.abs().max() for grid in grids[1:]) > 2  # far outside
    expected = F.affine_grid(product(thetas), (4, 1, 7, 11), align_corners=align_corners)
    torch.testing.assert_close(composed_grid(grids, (7, 11), align_corners), expected, rtol=0, atol=ROUNDING)


def test_three_dimensions():
    thetas = matrices(2, 2, ndim=3, spread=0.3)
    grids = affine_grids(thetas, [(4, 5, 6), (3, 3, 2)])
    expected = F.affine_grid(product(thetas), (2, 1, 2, 3, 4), align_corners=False)
    torch.testing.assert_close(composed_grid(grids, (2, 3, 4)), expected, rtol=0, atol=ROUNDING)


def test_float32_grids_lose_no_more_than_their_own_rounding():
    thetas = matrices(4, 3)
    grids = affine_grids(thetas, [(54, 54), (27, 27), (27, 27), (13, 13)])
    single = composed_grid([grid.float() for grid in grids], (54, 54))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), composed_grid(grids, (54, 54)), rtol=1e-6, atol=1e-6)


def test_one_warp_at_its_own_size_is_itself():
    grid = spline_grid((9, 12))
    torch.testing.assert_close(composed_grid([grid], (9, 12)), grid, rtol=0, atol=ROUNDING)


@both
def test_a_spline_between_its_points_is_interpolated_as_scipy_does(align_corners):
    outer, inner = spline_grid((20, 30)), 0.8 * spline_grid((12, 8), bend=0.02)
    assert inner.abs().max() < 0.95  # within the outermost points of the outer grid
    pixel = normalised_to_pixel(inner, (20, 30), align_corners).numpy()
    expected = np.stack(
        [
            np.stack([map_coordinates(outer[b, ..., k].numpy(), [y, x], order=1, mode="nearest") for k in (0, 1)], -1)
            for b, (x, y) in enumerate(zip(pixel[..., 0], pixel[..., 1], strict=True))
        ]
    )
    torch.testing.assert_close(
        composed_grid([outer, inner], (12, 8), align_corners), torch.from_numpy(expected), rtol=0, atol=ROUNDING
    )


def test_a_spline_goes_on_outside_as_its_nearest_affine_map():
    outer = spline_grid((10, 10), batch=1)
    corner = torch.tensor([[[[3.0, 3.0], [5.0, 9.0]]]], dtype=torch.float64)  # beyond the same corner
    (near, far) = composed_grid([outer, corner], (1, 2))[0, 0]
    linear, corner_node = mean_affine(outer)[0, :, :2], torch.tensor([0.9, 0.9], dtype=torch.float64)
    step = linear @ (corner[0, 0, 0] - corner_node)
    torch.testing.assert_close(near - outer[0, -1, -1], step, rtol=0, atol=ROUNDING)
    torch.testing.assert_close(far - near, linear @ torch.tensor([2.0, 6.0], dtype=torch.float64), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(("side", "off"), [(12, 0.0), (13, 2 / 13)])
def test_the_product_is_what_warping_pooling_and_warping_do(side, off):
    """Images of their own coordinates: averaging and bilinear sampling of a linear function are exact inside."""
    thetas = torch.tensor([[[0.5, -0.2, 0.1], [0.3, 0.6, 0.0]], [[0.7, 0.2, -0.1], [-0.1, 0.6, 0.1]]]).double()
    first, second = affine_grids(thetas[:, None], [(side, side), (5, 5)])
    coordinates = regular_points((side, side)).view(1, side, side, 2).movedim(-1, 1)
    warped = F.grid_sample(coordinates, first, align_corners=False)
    seen = F.grid_sample(F.avg_pool2d(warped, 2), second, align_corners=False).movedim(1, -1)
    product = composed_grid([first, second], (5, 5))
    assert product.abs().max() < 1 - 1 / side
    worst = (seen - product).abs().max()
    assert worst <= off + ROUNDING
    assert off == 0 or worst > 0.01  # odd sizes are off


def test_numbers_that_are_none_stay_in_their_sample():
    grids = affine_grids(matrices(2, 3), [(6, 6), (4, 4)])
    clean = composed_grid(grids, (5, 5))
    grids[1][1, 2, 3, 0] = torch.nan
    grids[0][2, 0, 0, 1] = torch.inf
    spoiled = composed_grid(grids, (5, 5))
    assert torch.equal(spoiled[0], clean[0])
    assert spoiled[1].isnan().any()
    assert not spoiled[2].isfinite().all()


def test_gradients_reach_every_grid():
    generator = torch.Generator().manual_seed(2)
    sizes = [(1, 3, 4, 2), (1, 2, 3, 2)]
    grids = [torch.rand(s, generator=generator, dtype=torch.float64, requires_grad=True) for s in sizes]
    assert torch.autograd.gradcheck(lambda *g: composed_grid(g, (3, 2)), grids)


@pytest.mark.parametrize(
    ("shapes", "size", "message"),
    [
        ([], (4, 4), "at least one grid"),
        ([(2, 4, 4, 2), (3, 4, 4, 2)], (4, 4), r"grids\[1\]: expected \(2, .*, 2\), got \(3, 4, 4, 2\)"),
        ([(2, 4, 4, 2), (2, 4, 4, 4, 3)], (4, 4), r"grids\[1\]"),
        ([(2, 16, 2)], (4, 4), r"grids\[0\]"),
        ([(2, 4, 4, 2)], (4, 0), "size: expected 2 positive integers"),
        ([(2, 4, 4, 2)], (4,), "size: expected 2 positive integers"),
    ],
)
def test_grids_that_do_not_fit_are_named(shapes, size, message):
    with pytest.raises(ValueError, match=message):
        composed_grid([torch.zeros(shape) for shape in shapes], size)


def test_autocast_leaves_the_mean_affine_map_as_it_is():
    grid = regular_points((8, 8)).view(1, 8, 8, 2).float() * 0.7 + 0.1
    with torch.autocast("cpu", torch.bfloat16):
        inside = mean_affine(grid)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, mean_affine(grid))
