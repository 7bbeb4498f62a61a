"""The coordinate contract against numpy's own formulas and torch's affine_grid."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stn_lightning.geometry import homogeneous, normalised_to_pixel, pixel_to_normalised, regular_points

SIZES = [(1, 1), (1, 7), (5, 4), (6, 9), (2, 3, 4)]
both = pytest.mark.parametrize("align_corners", [False, True])
ROUNDING = 1e-14  # a few operations on float64 numbers of magnitude 1 to 10


def axis(n, align_corners):
    if align_corners:
        return np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
    return (2 * np.arange(n) + 1) / n - 1


@both
@pytest.mark.parametrize("size", SIZES)
def test_regular_points_are_pixel_centres_row_by_row(size, align_corners):
    axes = np.meshgrid(*(axis(n, align_corners) for n in size), indexing="ij")
    expected = torch.from_numpy(np.stack([a.ravel() for a in reversed(axes)], axis=-1))
    points = regular_points(size, align_corners)
    assert points.dtype == torch.float64
    torch.testing.assert_close(points, expected, rtol=0, atol=ROUNDING)


@both
@pytest.mark.filterwarnings("ignore:Since version 1.3.0, affine_grid")  # it warns of size 1 with align_corners
@pytest.mark.parametrize("size", SIZES)
def test_regular_points_are_those_of_affine_grid(size, align_corners):
    ndim = len(size)
    theta = torch.eye(ndim, ndim + 1, dtype=torch.float64)[None]
    grid = F.affine_grid(theta, (1, 1, *size), align_corners=align_corners)
    torch.testing.assert_close(regular_points(size, align_corners), grid.view(-1, ndim), rtol=0, atol=ROUNDING)


def test_align_corners_at_size_one_is_the_middle():
    assert torch.equal(regular_points((1, 1), align_corners=True), torch.zeros(1, 2, dtype=torch.float64))


@pytest.mark.parametrize(("align_corners", "pixel"), [(False, [-0.5, -0.5]), (True, [0.0, 0.0])])
def test_minus_one_is_the_outer_edge_or_the_centre_of_the_corner_pixel(align_corners, pixel):
    corner = normalised_to_pixel(torch.tensor([-1.0, -1.0]), (4, 7), align_corners)
    assert corner.tolist() == pixel


@both
def test_the_last_size_belongs_to_x(align_corners):
    last_pixel = torch.tensor([6.0, 3.0])  # of an image of 4 rows and 7 columns
    there = pixel_to_normalised(last_pixel, (4, 7), align_corners)
    expected = [1.0, 1.0] if align_corners else [1 - 1 / 7, 1 - 1 / 4]
    torch.testing.assert_close(there, torch.tensor(expected))


@both
@pytest.mark.parametrize("size", [(5, 4), (2, 30), (2, 3, 4)])
def test_pixel_and_normalised_are_inverse(size, align_corners):
    torch.manual_seed(0)
    points = torch.randn(3, 50, len(size), dtype=torch.float64)
    back = pixel_to_normalised(normalised_to_pixel(points, size, align_corners), size, align_corners)
    torch.testing.assert_close(back, points, rtol=0, atol=ROUNDING)


def test_homogeneous_appends_a_one():
    assert homogeneous(torch.tensor([[2.0, 3.0]])).tolist() == [[2.0, 3.0, 1.0]]
