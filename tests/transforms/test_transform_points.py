"""What each theta means: against affine_grid, scikit-image, and the formulas of the contract."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.transform import ProjectiveTransform, warp

from stn_lightning.geometry import pixel_to_normalised, regular_points
from stn_lightning.samplers import registry as samplers
from stn_lightning.transforms import LinearTransform, Transform, registry

both = pytest.mark.parametrize("align_corners", [False, True])
MATRICES = {  # the orders of theta in DESIGN.md, as 2x3 matrices
    "affine": lambda t11, t12, t13, t21, t22, t23: [[t11, t12, t13], [t21, t22, t23]],
    "attention": lambda s, tx, ty: [[s, 0, tx], [0, s, ty]],
    "translation": lambda tx, ty: [[1, 0, tx], [0, 1, ty]],
    "similarity": lambda a, b, tx, ty: [[a, -b, tx], [b, a, ty]],
}


@both
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
@pytest.mark.parametrize("size", [(1, 1), (7, 1), (6, 9)], ids=str)
def test_grid_is_points_at_the_regular_points(transform, draw, size, dtype, tolerance, align_corners):
    theta = draw(transform, 3, dtype)
    grid = transform.grid(theta, size, align_corners)
    points = transform.points(theta, regular_points(size, align_corners).to(dtype))
    assert points.dtype == grid.dtype == dtype
    assert grid.shape == (3, *size, 2)
    torch.testing.assert_close(grid, points.view(3, *size, 2), rtol=0, atol=tolerance)  # two orders of summation


@both
@pytest.mark.filterwarnings("ignore:Since version 1.3.0, affine_grid")  # it warns of size 1 with align_corners
@pytest.mark.parametrize("size", [(1, 1), (5, 8), (12, 3)], ids=str)
@pytest.mark.parametrize("name", MATRICES)
def test_matrix_families_are_affine_grid(name, size, align_corners):
    transform = registry[name]()
    theta = torch.randn(4, transform.num_params, dtype=torch.float64)
    matrix = torch.tensor([MATRICES[name](*row) for row in theta.tolist()], dtype=torch.float64)
    expected = F.affine_grid(matrix, (4, 1, *size), align_corners=align_corners)
    torch.testing.assert_close(transform.grid(theta, size, align_corners), expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(transform.matrix(theta)[:, :2], matrix, rtol=0, atol=0)


def test_points_of_projective_are_those_of_skimage(draw):
    transform = registry["projective"]()
    theta = draw(transform)
    xy = 3 * torch.rand(200, 2, dtype=torch.float64) - 1.5
    for row, ours in zip(theta, transform.points(theta, xy), strict=True):
        matrix = np.append(row.numpy(), 1).reshape(3, 3)
        np.testing.assert_allclose(ours, ProjectiveTransform(matrix)(xy.numpy()), rtol=1e-13, atol=1e-13)


def normalising(size, align_corners):
    """The matrix from pixel to normalised coordinates."""
    pixels = torch.tensor([[0, 0], [1, 0], [0, 1]], dtype=torch.float64)
    origin, x, y = pixel_to_normalised(pixels, size, align_corners).numpy()
    return np.array([[x[0] - origin[0], 0, origin[0]], [0, y[1] - origin[1], origin[1]], [0, 0, 1]])


@both
@pytest.mark.parametrize(
    ("padding", "mode"),
    [("zeros", "constant"), ("border", "edge"), ("reflection", None)],
    ids=["zeros", "border", "reflection"],
)
def test_projective_warp_is_that_of_skimage(padding, mode, align_corners):
    """A warp in pixels, brought to normalised coordinates: checks direction, matrix, grid and sampler at once."""
    source, target = (13, 17), (11, 8)
    pixels = np.array([[1.4, 0.3, -2.0], [-0.2, 1.5, 1.0], [0.01, -0.02, 1.2]])
    image = np.random.default_rng(0).standard_normal(source)
    mode = mode or ("reflect" if align_corners else "symmetric")
    expected = warp(image, ProjectiveTransform(pixels), output_shape=target, order=1, mode=mode, preserve_range=True)

    transform = registry["projective"]()
    matrix = normalising(source, align_corners) @ pixels @ np.linalg.inv(normalising(target, align_corners))
    grid = transform.grid(transform.from_matrix(torch.from_numpy(matrix)[None]), target, align_corners)
    ours = samplers["bilinear"](padding_mode=padding)(torch.from_numpy(image)[None, None], grid, align_corners)
    np.testing.assert_allclose(ours[0, 0], expected, rtol=0, atol=1e-12)


def test_points_on_the_horizon_stay_finite():
    transform = registry["projective"]()
    theta = torch.tensor([[1.0, 0, 0, 0, 1, 0, 1, 0]], requires_grad=True)  # the denominator is 1 + x: zero at x = -1
    grid = transform.grid(theta, (5, 5), align_corners=True)
    assert grid.isfinite().all()
    (gradient,) = torch.autograd.grad(grid.sum(), theta)
    assert gradient.isfinite().all()


def test_samples_do_not_mix(transform, draw):
    theta = draw(transform, 5)
    together = transform.grid(theta, (4, 6))
    alone = torch.cat([transform.grid(row[None], (4, 6)) for row in theta])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-14)


def test_memory_layout_of_theta_does_not_matter(transform, draw):
    theta = draw(transform, 4)
    expected = transform.grid(theta, (4, 6))
    strided = theta.T.contiguous().T
    wide = torch.cat([theta, theta], dim=1)[:, : transform.num_params]
    for same in (strided, wide):
        torch.testing.assert_close(transform.grid(same, (4, 6)), expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(transform.grid(theta[:1].expand(4, -1), (4, 6))[3], expected[0], rtol=0, atol=1e-14)


class Swirl(Transform):
    """What a plugin's author writes, and no more: turns a point by theta times its distance from the centre."""

    num_params = 1

    def identity(self):
        return torch.zeros(1)

    def points(self, theta, xy):
        angle = theta * xy.norm(dim=1)
        cos, sin = angle.cos(), angle.sin()
        return torch.stack([cos * xy[:, 0] - sin * xy[:, 1], sin * xy[:, 0] + cos * xy[:, 1]], dim=-1)


@both
def test_grid_follows_from_points_of_a_plugin(align_corners):
    swirl = Swirl()
    assert torch.equal(swirl.initial(), swirl.identity())
    theta = torch.tensor([[0.0], [1.0]])
    grid = swirl.grid(theta, (4, 5), align_corners)
    regular = regular_points((4, 5), align_corners).float()
    assert torch.equal(grid[0], regular.view(4, 5, 2))
    assert torch.equal(grid[1], swirl.points(theta, regular)[1].view(4, 5, 2))


class Affine3d(LinearTransform):
    """A linear transform of space: the base classes take ndim from the class."""

    ndim = 3
    num_params = 12

    def identity(self):
        return torch.eye(3, 4).flatten()

    def coefficients(self, theta):
        return theta.view(-1, 3, 4)

    def basis(self, xy):
        return torch.cat([xy, torch.ones_like(xy[:, :1])], dim=1).T


@both
def test_linear_transform_of_space_is_affine_grid(align_corners):
    theta = torch.randn(2, 12, dtype=torch.float64)
    size = (3, 4, 5)
    expected = F.affine_grid(theta.view(2, 3, 4), (2, 1, *size), align_corners=align_corners)
    torch.testing.assert_close(Affine3d().grid(theta, size, align_corners), expected, rtol=0, atol=1e-14)
