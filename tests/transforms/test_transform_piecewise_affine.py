"""Piecewise affine maps against scikit-image."""

import numpy as np
import pytest
import torch
from skimage.transform import PiecewiseAffineTransform

from stn_lightning.geometry import regular_points
from stn_lightning.transforms import registry

SHEAR = np.array([[1.0, -0.3], [-0.3, 1.0]])  # shortens the diagonal of ours, which scikit-image's triangulation then takes
both = pytest.mark.parametrize("align_corners", [False, True], ids=["", "align_corners"])
sizes = pytest.mark.parametrize("grid_size", [2, 4, (2, 5), (6, 3)], ids=str)


def bent(grid_size, spread=0.15):
    """A transform, and source positions that fold some triangles."""
    torch.manual_seed(0)
    transform = registry["piecewise_affine"](grid_size=grid_size)
    return transform, transform.identity().double() + spread * torch.randn(2, transform.num_params, dtype=torch.float64)


def cells_are_square(transform):
    """Target points in cells: scikit-image chooses triangles by their angles."""
    rows, columns = transform._size
    return np.array([(columns - 1) / 2, (rows - 1) / 2])


@sizes
def test_map_is_that_of_skimage(grid_size):
    transform, theta = bent(grid_size)
    scale = cells_are_square(transform)
    control = regular_points(transform._size, align_corners=True).numpy()
    xy = 1.98 * torch.rand(300, 2, dtype=torch.float64) - 0.99  # scikit-image gives -1 outside
    for row, ours in zip(theta, transform.points(theta, xy), strict=True):
        oracle = PiecewiseAffineTransform.from_estimate(control * scale @ SHEAR, row.view(-1, 2).numpy())
        np.testing.assert_allclose(ours, oracle(xy.numpy() * scale @ SHEAR), rtol=0, atol=1e-6)  # float32 control points


@both
def test_one_map_gives_any_output_size(align_corners):
    transform, theta = bent(3)
    for size in [(1, 1), (5, 30), (16, 16)]:
        expected = transform.points(theta, regular_points(size, align_corners)).view(2, *size, 2)
        torch.testing.assert_close(transform.grid(theta, size, align_corners), expected, rtol=0, atol=1e-14)


@sizes
def test_control_points_go_where_theta_says(grid_size):
    transform, theta = bent(grid_size)
    moved = transform.points(theta, regular_points(transform._size, align_corners=True))
    torch.testing.assert_close(moved.flatten(1), theta, rtol=0, atol=1e-7)


def test_affine_configurations_stay_affine():
    transform, _ = bent((3, 4))
    matrix, shift = torch.tensor([[0.7, -0.4], [0.2, 1.1]], dtype=torch.float64), torch.tensor([0.3, -0.1])
    theta = regular_points((3, 4), align_corners=True) @ matrix.T + shift
    xy = 2 * torch.rand(50, 2, dtype=torch.float64) - 1
    torch.testing.assert_close(transform.points(theta.view(1, -1), xy)[0], xy @ matrix.T + shift, rtol=0, atol=1e-7)


def test_outside_points_move_as_the_nearest_inside():
    transform, theta = bent(4)
    xy = 4 * torch.rand(60, 2, dtype=torch.float64) - 2
    inside = xy.clamp(-1, 1)
    torch.testing.assert_close(transform.points(theta, xy) - xy, transform.points(theta, inside) - inside, rtol=0, atol=1e-14)


def test_map_does_not_jump_where_pieces_meet():
    """At vertices, on edges of the lattice and on diagonals; a derivative there lies between those of the two sides."""
    transform, theta = bent(4)
    nodes = regular_points((4, 4), align_corners=True)
    edge, diagonal = (nodes[5] + nodes[6]) / 2, (nodes[5] + nodes[10]) / 2
    for where in (nodes[5], edge, diagonal, nodes[0]):
        step = 1e-6 * torch.randn(40, 2, dtype=torch.float64)
        moved = transform.points(theta, where + step) - transform.points(theta, where[None])
        assert moved.abs().max() < 1e-4
    for where, across in ((edge, torch.tensor([0.0, 1e-3])), (diagonal, torch.tensor([1e-3, -1e-3]))):
        there, one, other = (derivative_at(transform, theta[:1], point) for point in (where, where + across, where - across))
        jump = one - other
        assert jump.abs().max() > 0.1
        share = float(((there - other) * jump).sum() / jump.square().sum())
        assert -1e-9 < share < 1 + 1e-9
        torch.testing.assert_close(there, other + share * jump, rtol=0, atol=1e-9)


def derivative_at(transform, theta, point):
    return torch.autograd.functional.jacobian(lambda xy: transform.points(theta, xy[None])[0, 0], point)


def test_derivative_of_an_affine_map_is_its_matrix_on_dividing_lines_too():
    transform, _ = bent((4, 5))
    matrix = torch.tensor([[0.7, -0.4], [0.2, 1.1]], dtype=torch.float64)
    nodes = regular_points((4, 5), align_corners=True)
    theta = (nodes @ matrix.T).view(1, -1)
    lines = torch.cat([nodes, (nodes[:-1] + nodes[1:]) / 2, (nodes[:-6] + nodes[6:]) / 2])
    for where in lines[(lines.abs() < 0.99).all(1)]:
        torch.testing.assert_close(derivative_at(transform, theta, where), matrix, rtol=0, atol=1e-6)


def test_gradient_reaches_the_corners_of_a_points_triangle_alone():
    transform, theta = bent(4)
    theta.requires_grad_()
    inside = torch.tensor([[-0.9, -0.95]], dtype=torch.float64)  # of the first cell, above its diagonal
    transform.points(theta, inside).sum().backward()
    assert theta.grad[0].view(-1, 2).sum(1).nonzero().flatten().tolist() == [0, 1, 5]
    assert theta.grad[0].sum() == pytest.approx(2)


def test_lattice_is_that_of_tps():
    for grid_size in (4, (2, 3)):
        ours, spline = (registry[name](grid_size=grid_size) for name in ("piecewise_affine", "tps"))
        assert torch.equal(ours.identity(), spline.identity())


@pytest.mark.parametrize("grid_size", [1, (3, 1), (3, 3, 3)], ids=str)
def test_lattice_without_cells_is_refused(grid_size):
    with pytest.raises(ValueError, match="expected grid_size of at least 2 control points per side, got"):
        registry["piecewise_affine"](grid_size=grid_size)
