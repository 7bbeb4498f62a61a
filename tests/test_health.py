"""Measures of sampling grids, against linear algebra of affine maps, geometry, and derivatives by autograd."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from stn_lightning import health
from stn_lightning.geometry import regular_points
from stn_lightning.transforms import Affine, ThinPlateSpline

SIZE = (9, 12)
SPACING = (2 / 12, 2 / 9)


def turned(degrees, scale=1.0):
    c, s = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    return torch.tensor([[c, -s, 0, s, c, 0]], dtype=torch.float64)


@pytest.fixture
def affine():
    """Random affine warps: their matrices (B, 2, 2) and grids."""
    theta = torch.randn(20, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return theta.view(-1, 2, 3)[:, :, :2], Affine().grid(theta, SIZE)


def test_jacobian_of_an_affine_warp_is_its_matrix(affine):
    matrix, grid = affine
    expected = matrix[:, None, None].expand(-1, 8, 11, -1, -1)
    torch.testing.assert_close(health.jacobians(grid, SPACING), expected)


def test_jacobian_of_a_spline_is_its_derivative():
    spline = ThinPlateSpline()
    noise = 0.1 * torch.randn(1, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    theta = spline.identity().double() + noise
    points = regular_points((64, 64))
    found = health.jacobians(spline.grid(theta, (64, 64)), (2 / 64, 2 / 64))[0]
    rows = points.view(64, 64, 2)
    for i, j in [(5, 9), (31, 31), (50, 60)]:
        centre = ((rows[i, j] + rows[i + 1, j + 1]) / 2)[None]
        exact = torch.autograd.functional.jacobian(lambda xy: spline.points(theta, xy)[0, 0], centre)[:, 0]
        torch.testing.assert_close(found[i, j], exact, atol=2e-3, rtol=0)  # of second order in 1 / 64


def test_jacobian_in_space():
    matrix = torch.randn(2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    grid = (regular_points((4, 5, 6)) @ matrix.transpose(1, 2)).view(2, 4, 5, 6, 3)
    jacobian = health.jacobians(grid, (2 / 6, 2 / 5, 2 / 4))
    torch.testing.assert_close(jacobian, matrix[:, None, None, None].expand(-1, 3, 4, 5, -1, -1))
    np.testing.assert_allclose(health.condition(jacobian), np.linalg.cond(matrix.numpy()))
    np.testing.assert_allclose(health.determinants(jacobian)[:, 0, 0, 0], np.linalg.det(matrix.numpy()))


def test_condition_is_that_of_linear_algebra(affine):
    matrix, grid = affine
    found = health.condition(health.jacobians(grid, SPACING))
    np.testing.assert_allclose(found, np.linalg.cond(matrix.numpy()), rtol=1e-9)


def test_condition_of_a_line_is_infinite():
    grid = Affine().grid(torch.tensor([[1.0, 0, 0, 0, 0, 0]]), SIZE)
    assert health.condition(health.jacobians(grid, SPACING)).tolist() == [math.inf]


def test_area_is_that_of_the_hull(affine):
    _, grid = affine
    found = health.area(health.determinants(health.jacobians(grid, SPACING)))
    cells = (2 - SPACING[0]) * (2 - SPACING[1])  # of the outermost points of the identity
    hulls = [ConvexHull(points.flatten(0, 1).numpy()).volume / cells for points in grid]
    np.testing.assert_allclose(found, hulls, rtol=1e-9)


def test_affine_warps_do_not_fold_even_when_mirrored(affine):
    matrix, grid = affine
    assert {True, False} == set((torch.linalg.det(matrix) < 0).tolist())
    assert health.folds(health.determinants(health.jacobians(grid, SPACING))).tolist() == [0.0] * 20


def test_folds_are_the_share_that_is_turned_over():
    grid = regular_points((40, 40)).view(1, 40, 40, 2).clone()
    grid[..., 0] = (grid[..., 0] + 0.525).abs()  # the fold lies at a point: 10 of 39 cells of a row are turned over
    found = health.folds(health.determinants(health.jacobians(grid, (0.05, 0.05))))
    assert found.item() == pytest.approx(9 / 39, abs=1e-6)


@pytest.mark.parametrize(("theta", "share"), [(turned(0), 0.0), (turned(45), 3 - 2 * math.sqrt(2)), (turned(0, 2), 0.75)])
def test_share_outside_is_that_of_geometry(theta, share):
    # a square that is turned by 45 degrees has an octagon of 8 (sqrt 2 - 1) inside
    found = health.share_outside(Affine().grid(theta, (400, 400)))
    assert found.item() == pytest.approx(share, abs=2e-3)


def test_distance_of_a_shift():
    identity = regular_points(SIZE).view(*SIZE, 2)
    grid = torch.stack([identity, identity + torch.tensor([0.3, 0.4])])
    np.testing.assert_allclose(health.distance(grid, identity), [0, 0.5 / math.sqrt(2)], atol=1e-12)


def test_spread_is_the_deviation_of_the_points(affine):
    _, grid = affine
    assert health.spread(grid).item() == pytest.approx(np.sqrt(np.var(grid.numpy(), axis=0, ddof=1).mean()))
    assert health.spread(grid[:1].expand(7, -1, -1, -1)).item() == pytest.approx(0, abs=1e-12)
