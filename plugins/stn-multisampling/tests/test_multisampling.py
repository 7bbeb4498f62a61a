"""Values, gradients and footprint of the sampler, against numpy, scipy and bilinear interpolation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter, map_coordinates
from stn_lightning.geometry import normalised_to_pixel, regular_points
from stn_lightning.samplers import Bilinear

from stn_multisampling import Multisampling

both = pytest.mark.parametrize("align_corners", [False, True])
paddings = pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
INPUT, OUTPUT = (24, 30), (5, 6)


def image(channels=1, size=INPUT):
    return torch.randn(1, channels, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def warp(size=OUTPUT, reach=1.1):
    """A smooth warp with a shear, bent, of which some points lie outside."""
    xy = regular_points(size).view(1, *size, 2)
    linear = torch.tensor([[reach, 0.2], [-0.3, 0.8]], dtype=torch.float64)
    return xy @ linear + 0.1 * torch.sin(3 * xy.flip(-1))


def gradient_of(sampler, image, grid, align_corners=False, weights=None):
    """d(weighted sum of the output)/d(grid), (H', W', 2)."""
    grid = grid.clone().requires_grad_()
    output = sampler(image, grid, align_corners)
    return torch.autograd.grad((output if weights is None else output * weights).sum(), grid)[0][0]


@pytest.fixture
def points_read(monkeypatch):
    """The points that a sampler reads besides those of the grid itself, (samples, H', W', 2), whatever computes them."""

    def points_read(sampler, image, grid, align_corners=False):
        read, original = [], F.grid_sample
        with monkeypatch.context() as patch:
            patch.setattr(F, "grid_sample", lambda input, at, *rest: read.append(at[0]) or original(input, at, *rest))
            sampler(image, grid.clone().requires_grad_(), align_corners)
        others = [points for points in read if not torch.equal(points.detach(), grid[0])]
        assert len(others) == sampler.samples == len(read) - 1
        return torch.stack(others).numpy()

    return points_read


@both
@paddings
def test_values_and_gradient_in_the_image_are_those_of_bilinear(padding, align_corners):
    maps, grid = [image(2).requires_grad_() for _ in range(2)], warp().requires_grad_()
    outputs = [cls(padding)(x, grid, align_corners) for cls, x in zip((Multisampling, Bilinear), maps, strict=True)]
    assert torch.equal(*outputs)
    for output in outputs:
        (output**2).sum().backward()
    assert torch.equal(*(x.grad for x in maps))


@both
@paddings
@pytest.mark.parametrize("options", [{}, {"samples": 3}, {"samples": 13, "spread": 1.4, "input_spread": 2.0}], ids=str)
def test_gradient_is_the_slope_of_least_squares(points_read, options, padding, align_corners):
    """A plane through the values that scipy finds at the points, fitted by numpy, point by point."""
    sampler, maps, grid = Multisampling(padding, **options), image(2), warp()
    mode = {"zeros": "grid-constant", "border": "nearest", "reflection": "mirror" if align_corners else "reflect"}[padding]
    points = points_read(sampler, maps, grid, align_corners)
    where = normalised_to_pixel(torch.from_numpy(points), INPUT, align_corners).numpy()
    for channel in range(2):
        weights = torch.zeros(2, 1, 1, dtype=torch.float64)
        weights[channel] = 1
        ours = gradient_of(sampler, maps, grid, align_corners, weights)
        for i, j in np.ndindex(OUTPUT):
            values = map_coordinates(maps[0, channel].numpy(), where[:, i, j, ::-1].T, order=1, mode=mode)
            plane = np.concatenate([points[:, i, j], np.ones((len(points), 1))], axis=1)
            (*slope, _), *_ = np.linalg.lstsq(plane, values, rcond=None)
            np.testing.assert_allclose(ours[i, j], slope, rtol=0, atol=1e-9)


WARPS = {
    "bent": warp(),
    "one row": warp((1, 6)),
    "one point": warp((1, 1)),
    "a line": warp() * torch.tensor([1.0, 0.0]) + 0.2,
    "one place": torch.full((1, *OUTPUT, 2), 0.3, dtype=torch.float64),
    "nearly a diagonal": 1e4 * warp() @ torch.tensor([[1.0, 1.0], [1e-9, 0.0]], dtype=torch.float64),
}


@both
@pytest.mark.parametrize("grid", WARPS.values(), ids=WARPS)
def test_points_have_the_footprint_of_the_warp(points_read, grid, align_corners):
    """Mean: the grid's point. Covariance: spread^2 J J' + input_spread^2 D^2, with the differences J of numpy."""
    points = points_read(Multisampling(spread=0.7, input_spread=1.3), image(), grid, align_corners)
    at = grid[0].numpy()
    j = np.stack([np.gradient(at, axis=axis) if at.shape[axis] > 1 else 0 * at for axis in (1, 0)], axis=-1)
    pixel = np.array([2 / (n - align_corners) for n in INPUT[::-1]])
    expected = 0.49 * j @ j.swapaxes(-1, -2) + 1.69 * np.diag(pixel**2)
    offsets = points - at
    scale = np.sqrt(expected.max())
    np.testing.assert_allclose(offsets.mean(axis=0), 0 * at, rtol=0, atol=1e-12 * scale)
    covariance = np.einsum("khwi,khwj->hwij", offsets, offsets) / len(offsets)
    np.testing.assert_allclose(covariance, expected, rtol=0, atol=1e-11 * scale**2)


def test_neighbours_look_in_other_directions(points_read):
    """Else the gradients of a whole window would miss the same pixels."""
    grid = regular_points((8, 8)).view(1, 8, 8, 2)
    offsets = points_read(Multisampling(), image(size=(32, 32)), grid) - grid[0].numpy()
    angles = np.sort(np.arctan2(offsets[0, ..., 1], offsets[0, ..., 0]).ravel())
    assert np.diff(angles, append=angles[0] + 2 * np.pi).max() < 2 * np.pi * 3 / 64


@both
def test_gradient_of_a_linear_image_is_exact(align_corners):
    """Where nothing bends there is nothing to average: both samplers give the slope of the plane."""
    x, y = normalised_to_pixel(regular_points(INPUT), INPUT).view(*INPUT, 2).unbind(-1)
    grid = 0.4 * warp()
    ours, exact = (gradient_of(cls(), (3 * x - 2 * y)[None, None], grid, align_corners) for cls in (Multisampling, Bilinear))
    torch.testing.assert_close(ours, exact, rtol=0, atol=1e-11)


def test_slope_is_the_gradient_of_the_blurred_image():
    """Of many points: scipy's derivative of a Gaussian. The variance 1/6 is that of bilinear interpolation's own kernel."""
    maps, sampler = image(size=(40, 48)), Multisampling(samples=3000, spread=1.0, input_spread=1.0)
    grid = regular_points((40, 48)).view(1, 40, 48, 2)
    ours = gradient_of(sampler, maps, grid)[8:-8, 8:-8].numpy() * [2 / 48, 2 / 40]
    blurred = [gaussian_filter(maps[0, 0].numpy(), (2 + 1 / 6) ** 0.5, order=order) for order in ((0, 1), (1, 0))]
    expected = np.stack(blurred, axis=-1)[8:-8, 8:-8]
    assert np.sqrt(((ours - expected) ** 2).mean()) < 0.02 * expected.std()


def test_rounding_in_float32_leaves_the_gradient_finite():
    """A long and thin footprint: the variance across it is less than the rounding of that along it."""
    assert gradient_of(Multisampling(), image().float(), WARPS["nearly a diagonal"].float()).isfinite().all()


def test_slope_is_a_constant():
    """Neither memory nor time of a backward pass goes into it."""
    maps, grid = image().requires_grad_(), warp().requires_grad_()
    (gradient,) = torch.autograd.grad(Multisampling()(maps, grid).sum(), grid, create_graph=True)
    assert not gradient.requires_grad


def test_second_derivatives_are_those_of_the_linear_model():
    """The Hessian of half a squared error is Gauss-Newton's, J'J."""
    sampler, maps, grid = Multisampling(), image(3), warp()
    target = torch.zeros(1, 3, *OUTPUT, dtype=torch.float64)

    def output(shift):
        return sampler(maps, grid + shift)

    shift = torch.zeros(2, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(output, shift).flatten(0, -2)
    hessian = torch.autograd.functional.hessian(lambda shift: F.mse_loss(output(shift), target, reduction="sum") / 2, shift)
    torch.testing.assert_close(hessian, jacobian.T @ jacobian, rtol=1e-12, atol=0)


def test_forward_mode_gives_the_same_slope():
    maps, grid, direction = image(), warp(), torch.randn(warp().shape, dtype=torch.float64)
    _, along = torch.func.jvp(lambda grid: Multisampling()(maps, grid), (grid,), (direction,))
    expected = (gradient_of(Multisampling(), maps, grid) * direction[0]).sum(-1)
    torch.testing.assert_close(along[0, 0], expected, rtol=1e-12, atol=0)


def test_without_gradients_there_is_one_interpolation():
    with torch.no_grad():
        program = torch.export.export(Multisampling(), (image(), warp()))
    names = [node.name for node in program.graph.nodes if "grid_sample" in node.name]
    assert len(names) == 1


@pytest.mark.parametrize(
    "options",
    [{"samples": 2}, {"spread": -0.1}, {"spread": float("nan")}, {"input_spread": 0.0}, {"input_spread": float("inf")}],
    ids=str,
)
def test_arguments_out_of_range_are_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"expected .*{name}.* got"):
        Multisampling(**options)
