"""B-spline sampler against scipy's map_coordinates and torch-interpol, values and gradients."""

import copy

import interpol
import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch.export import export

from stn_lightning.geometry import normalised_to_pixel, regular_points
from stn_lightning.samplers import registry
from stn_lightning.testing import SamplerChecks

bspline = registry["bspline"]
orders = pytest.mark.parametrize("order", [2, 3, 4, 5])
both = pytest.mark.parametrize("align_corners", [False, True])
paddings = pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
SIZES = [(7, 9), (2, 30), (4, 4), (1, 5)]


class TestBSpline(SamplerChecks):
    name = "bspline"
    variants = ({}, {"order": 2, "padding_mode": "reflection"}, {"order": 5, "padding_mode": "border"})


def scipy_mode(padding, align_corners):
    return {"zeros": "grid-constant", "border": "nearest", "reflection": "mirror" if align_corners else "reflect"}[padding]


def scattered(size, outside, count=300):
    """Grid (1, 1, count, 2) of points up to so many pixels outside, for either convention."""
    reach = 1 + 2 * outside / torch.tensor(size[::-1]).double()
    return reach * (2 * torch.rand(1, 1, count, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 1)


def noise(*size):
    return torch.randn(1, 2, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def scipys(image, grid, align_corners, order, mode, margin=0):
    """Values (C, N) of scipy, of an image that has a margin."""
    size = [n - 2 * margin for n in image.shape[1:]]
    where = normalised_to_pixel(grid, size, align_corners)[0, 0].numpy().T[::-1] + margin
    return np.stack([map_coordinates(channel, where, order=order, mode=mode) for channel in image])


@orders
@both
@paddings
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_is_the_spline_of_the_continued_image(size, padding, align_corners, order):
    """scipy's spline of an image continued by 100 pixels; far out our own margin is felt, 1e-7 of noise of magnitude 3."""
    image, mode = noise(*size), scipy_mode(padding, align_corners)
    pad = {"grid-constant": "constant", "nearest": "edge", "mirror": "reflect", "reflect": "symmetric"}[mode]
    continued = np.pad(image[0].numpy(), ((0, 0), (100, 100), (100, 100)), mode=pad)
    for outside, tolerance in ((3, 1e-11), (40, 1e-12 if padding == "reflection" else 4e-7)):
        grid = scattered(size, outside)
        ours = bspline(padding, order)(image, grid, align_corners)[0, :, 0]
        expected = scipys(continued, grid, align_corners, order, "mirror", margin=100)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance)


@orders
@both
@paddings
def test_is_that_of_scipys_mode(padding, align_corners, order):
    """On a larger image: scipy starts its recursion for ``reflect``, and its margin of 12 pixels, by an approximation."""
    image, mode = noise(31, 36), scipy_mode(padding, align_corners)
    tolerance = 1e-12 if mode == "mirror" else {2: 1e-9, 3: 1e-7, 4: 5e-6, 5: 5e-5}[order]
    grid = scattered((31, 36), 3)
    ours = bspline(padding, order)(image, grid, align_corners)[0, :, 0]
    np.testing.assert_allclose(ours, scipys(image[0].numpy(), grid, align_corners, order, mode), rtol=0, atol=tolerance)


@orders
@both
def test_is_that_of_torch_interpol_with_its_gradients(order, align_corners):
    """But for its gradient in a mirrored image: torch-interpol 0.3 takes that prefilter for symmetric, which it is not."""
    image, grid = noise(12, 15), scattered((12, 15), 3)
    upstream = torch.randn(1, 2, 1, 300, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def ours(x, g):
        return bspline("reflection", order)(x, g, align_corners)

    def theirs(x, g):
        where, bound = normalised_to_pixel(g, (12, 15), align_corners).flip(-1), "dct1" if align_corners else "dct2"
        return interpol.grid_pull(x, where, order, bound=bound, extrapolate=True, prefilter=True)

    def with_gradients(function):
        x, g = image.clone().requires_grad_(), grid.clone().requires_grad_()
        values = function(x, g)
        of_image, of_grid = torch.autograd.grad(values, (x, g), upstream)
        return values, of_grid, torch.zeros(()) if align_corners else of_image

    tolerance = {2: 1e-11, 3: 1e-10, 4: 1e-8, 5: 1e-6}[order]
    for mine, other in zip(with_gradients(ours), with_gradients(theirs), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=tolerance * max(1, float(other.detach().abs().max())))


@orders
@both
@paddings
def test_gradient_in_the_image_is_the_adjoint(padding, align_corners, order):
    """<A x, y> = <x, A* y>: the output is linear in the image."""
    image, grid = noise(5, 8).requires_grad_(), scattered((5, 8), 3)
    values = bspline(padding, order)(image, grid, align_corners)
    upstream = torch.randn(values.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    (adjoint,) = torch.autograd.grad(values, image, upstream)
    torch.testing.assert_close((adjoint * image).sum(), (values * upstream).sum(), rtol=1e-12, atol=0)


@both
@orders
def test_sizes_of_one_pixel(order, align_corners):
    grid = regular_points((4, 3)).view(1, 4, 3, 2)
    for padding in ("border", "reflection"):
        output = bspline(padding, order)(torch.full((1, 1, 1, 1), 0.75).double(), grid, align_corners)
        torch.testing.assert_close(output, torch.full_like(output, 0.75), rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", [0, 1, 6, -3])
def test_other_orders_are_refused(order):
    with pytest.raises(ValueError, match=rf"expected order one of 2, 3, 4, 5; got {order}"):
        bspline(order=order)


def test_prefilter_is_out_of_reach_of_casts_and_inference_mode():
    sampler, image, grid = bspline(), noise(6, 7), scattered((6, 7), 2)
    with torch.inference_mode():
        expected = sampler(image, grid).clone()
    assert sampler.state_dict() == {}
    leaf = image.clone().requires_grad_()
    sampler.bfloat16()(leaf, grid).square().sum().backward()
    assert leaf.grad.abs().max() > 0
    for twin in (sampler, copy.deepcopy(sampler)):
        torch.testing.assert_close(twin(image, grid), expected, rtol=0, atol=1e-12)


def test_exported_graph_holds_the_prefilter():
    inputs = noise(6, 7).float(), scattered((6, 7), 2).float()
    calls = [str(node.target) for node in export(bspline(), inputs).graph.nodes if node.op == "call_function"]
    assert any("matmul" in call for call in calls)
    assert not [call for call in calls if any(word in call for word in ("solve", "inv", "eye", "grid_sampler"))]
