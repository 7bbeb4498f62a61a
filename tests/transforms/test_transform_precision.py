"""Neither autocast, nor a cast of the module, nor a half-precision theta moves a point by a thousandth of a pixel."""

from contextlib import nullcontext

import pytest
import torch

from stn_lightning.transforms import Transform, registry

SIZE = (448, 32)  # the long side is the one that shows errors
HALVES = [torch.bfloat16, torch.float16]


def pixels_off(grid, exact):
    extent = torch.tensor(SIZE[::-1]) / 2
    return ((grid.double() - exact).abs() * extent).max().item()


@pytest.mark.parametrize("autocast", [False, True], ids=["", "autocast"])
@pytest.mark.parametrize("module", [None, *HALVES], ids=str)
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_grid_is_exact_under_any_precision(transform, draw, module, autocast, warm):
    theta = draw(transform, 2, torch.float32)
    exact = transform.grid(theta.double(), SIZE)
    if warm:
        transform.grid(theta, SIZE)
    transform.to(module)
    with torch.autocast("cpu", dtype=torch.bfloat16) if autocast else nullcontext():
        grid = transform.grid(theta, SIZE)
    assert grid.dtype == torch.float32
    assert pixels_off(grid, exact) < 1e-3


@pytest.mark.parametrize("autocast", [False, True], ids=["", "autocast"])
@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", ["affine", "tps"])
def test_module_with_a_basis_to_learn_is_exact_too(name, dtype, autocast, draw):
    transform = registry[name](learn_basis=True, basis_size=SIZE)
    theta = draw(transform, 2, torch.float32)
    exact = transform.grid(theta.double(), SIZE)
    transform.to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16) if autocast else nullcontext():
        grid = transform.grid(theta, SIZE)
    assert grid.dtype == torch.float32
    assert pixels_off(grid, exact) < 1e-3


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_half_precision_theta_is_promoted(transform, draw, dtype):
    theta = draw(transform).to(dtype)
    grid = transform.grid(theta, (7, 9))
    assert grid.dtype == torch.float32
    assert torch.equal(grid, transform.grid(theta.float(), (7, 9)))


class Bilinear(Transform):
    """A plugin whose points are a matrix product, written without a thought of autocast."""

    num_params = 4

    def identity(self):
        return torch.eye(2).flatten()

    def points(self, theta, xy):
        return xy @ theta.view(-1, 2, 2)


def test_points_of_a_plugin_run_outside_autocast():
    theta = torch.eye(2).flatten() + 0.3 * torch.rand(2, 4)
    exact = Bilinear().grid(theta.double(), SIZE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        grid = Bilinear().grid(theta, SIZE)
        assert torch.is_autocast_enabled("cpu")
    assert pixels_off(grid, exact) < 1e-3
