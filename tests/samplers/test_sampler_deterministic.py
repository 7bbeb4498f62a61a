"""Reading without grid_sample, whose backward pass has no deterministic form on CUDA (pytorch#68959)."""

import pytest
import torch
from torch._subclasses import FakeTensorMode
from torch.export import export

from stn_lightning.geometry import pixel_to_normalised
from stn_lightning.samplers import registry
from stn_lightning.testing import SamplerChecks

both = pytest.mark.parametrize("align_corners", [False, True])
paddings = pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
names = pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "antialiased"])
OWN = ["bspline"]  # never reads by grid_sample


class TestBilinear(SamplerChecks):
    name = "bilinear"
    variants = ({"deterministic": True}, {"deterministic": True, "padding_mode": "reflection"})


class TestBicubic(SamplerChecks):
    name = "bicubic"
    variants = ({"deterministic": True, "padding_mode": "border"},)


class TestNearest(SamplerChecks):
    name = "nearest"
    variants = ({"deterministic": True},)


@pytest.fixture
def torchs_switch():
    """``torch.use_deterministic_algorithms``, off again afterwards."""
    yield torch.use_deterministic_algorithms
    torch.use_deterministic_algorithms(False)


def inputs(size=(7, 9), reach=3.0, dtype=torch.float64):
    seeded = torch.Generator().manual_seed(0)
    image = torch.randn(2, 3, *size, dtype=dtype, generator=seeded)
    return image, reach * (2 * torch.rand(2, 10, 12, 2, dtype=dtype, generator=seeded) - 1)


def with_gradients(sampler, image, grid, align_corners=False):
    image, grid = image.clone().requires_grad_(), grid.clone().requires_grad_()
    output = sampler(image, grid, align_corners)
    upstream = torch.randn(output.shape, dtype=output.dtype, generator=torch.Generator().manual_seed(1)).to(output.device)
    return output.detach(), *torch.autograd.grad(output, (image, grid), upstream)


def operations(output):
    """Names of the nodes of the graph through which the gradient goes."""
    seen, todo = set(), [output.grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo += [following for following, _ in node.next_functions]
    return {node.name() for node in seen}


def reads_by_grid_sample(output):
    return any("GridSampler" in operation for operation in operations(output))


@both
@paddings
@pytest.mark.parametrize("size", [(7, 9), (1, 5), (2, 2), (1, 1)], ids=str)
@names
def test_values_and_gradients_are_those_of_grid_sample(name, size, padding, align_corners):
    image, grid = inputs(size)
    expected = with_gradients(registry[name](padding), image, grid, align_corners)
    ours = with_gradients(registry[name](padding, deterministic=True), image, grid, align_corners)
    for mine, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-11)


@both
@paddings
@pytest.mark.parametrize("name", ["bilinear", "bicubic"])
def test_values_on_pixel_centres_and_between_them_are_those_of_grid_sample(name, padding, align_corners):
    image, _ = inputs()
    halves = torch.stack(torch.meshgrid(*[torch.arange(-3, 13, 0.5).double()] * 2, indexing="xy"), dim=-1)
    grid = pixel_to_normalised(halves, (7, 9), align_corners).expand(2, -1, -1, -1)
    expected = registry[name](padding)(image, grid, align_corners)
    ours = registry[name](padding, deterministic=True)(image, grid, align_corners)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)


@names
def test_half_precision_and_far_points(name):
    """Points far beyond the range of integers, as a network that diverges makes them."""
    image, grid = inputs(dtype=torch.float32)
    grid[0, 0, :4] = torch.tensor([1e30, -1e30, 1e10, -1e10])[:, None]
    for padding in ("zeros", "border"):
        for features in (image, image.bfloat16()):
            expected = registry[name](padding)(features, grid)
            ours = registry[name](padding, deterministic=True)(features, grid)
            torch.testing.assert_close(ours, expected, rtol=0, atol=2e-5 if features.dtype == torch.float32 else 4e-2)


@names
def test_no_gradient_goes_through_grid_sample(name):
    image, grid = inputs()
    leaves = image.requires_grad_(), grid.requires_grad_()
    assert reads_by_grid_sample(registry[name]()(*leaves))
    assert not reads_by_grid_sample(registry[name](deterministic=True)(*leaves))
    for own in OWN:
        assert not reads_by_grid_sample(registry[own]()(*leaves))


@names
def test_exported_graph_has_no_grid_sample(name):
    def calls(sampler):
        return [str(node.target) for node in export(sampler, inputs()).graph.nodes if "grid_sampler" in str(node.target)]

    assert calls(registry[name]())
    assert not calls(registry[name](deterministic=True))


@names
def test_trains_under_torchs_switch(name, torchs_switch):
    torchs_switch(True)
    first, second = (with_gradients(registry[name](deterministic=True), *inputs()) for _ in range(2))
    assert all(map(torch.equal, first, second))


@names
def test_a_map_on_cuda_is_read_so_under_torchs_switch(name, torchs_switch):
    """The graph that a CUDA tensor gets, by tensors without data: no GPU is needed. The CPU's grid_sample is deterministic."""
    for switch in (False, True):
        torchs_switch(switch)
        assert reads_by_grid_sample(registry[name]()(*(x.requires_grad_() for x in inputs())))
        with FakeTensorMode():
            leaves = torch.empty(2, 3, 7, 9, device="cuda"), torch.empty(2, 4, 5, 2, device="cuda")
            output = registry[name]()(*(x.requires_grad_() for x in leaves))
        assert reads_by_grid_sample(output) != switch


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "antialiased", "bspline"])
def test_gradients_on_cuda_repeat_to_the_bit(name, torchs_switch):
    torchs_switch(True)
    image = torch.randn(4, 16, 64, 64, device="cuda")
    grid = 0.2 * torch.randn(4, 128, 128, 2, device="cuda")  # many points on few pixels
    first, second = (with_gradients(registry[name](), image, grid) for _ in range(2))
    assert all(map(torch.equal, first, second))
    for mine, other in zip(first, with_gradients(registry[name](), image.cpu(), grid.cpu()), strict=True):
        torch.testing.assert_close(mine.cpu(), other, rtol=1e-3, atol=1e-2)
