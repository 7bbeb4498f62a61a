"""What changes of the displacement cost."""

import numpy as np
import pytest
import torch

from stn_lightning.penalties import Smoothness
from stn_lightning.transforms import Affine, Flow, registry

SIZE = (6, 9)
both = pytest.mark.parametrize("align_corners", [False, True], ids=["", "align_corners"])


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@both
@pytest.mark.parametrize("size", [SIZE, (30, 2)], ids=str)
def test_affine_warp_costs_its_distance_from_the_identity_at_every_size(size, align_corners):
    theta = torch.randn(4, 6, dtype=torch.float64)
    costs = Smoothness(align_corners=align_corners).of_grid(Affine().grid(theta, size, align_corners))
    linear = theta.view(4, 2, 3)[:, :, :2]
    expected = (linear - torch.eye(2, dtype=torch.float64)).square().sum((1, 2))
    torch.testing.assert_close(costs, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("theta", "expected"),
    [((1, 0, 0.7, 0, 1, -0.3), 0), ((0.5, 0, 0, 0, 0.5, 0), 0.5), ((0, -1, 0, 1, 0, 0), 4)],
    ids=["translation", "half the scale", "quarter turn"],
)
def test_costs_of_the_docstring(theta, expected):
    grid = Affine().grid(torch.tensor([theta], dtype=torch.float64), SIZE)
    assert float(Smoothness().of_grid(grid)) == pytest.approx(expected, abs=1e-12)


def test_cost_of_a_field_is_that_of_numpys_differences():
    field = torch.randn(2, *SIZE, 2, dtype=torch.float64)
    costs = Smoothness().of_grid(Flow(SIZE).grid(field.flatten(1), SIZE))
    for displacement, cost in zip(field.numpy(), costs, strict=True):
        down, right = (np.diff(displacement, axis=axis) / (2 / SIZE[axis]) for axis in (0, 1))
        assert float(cost) == pytest.approx(sum(np.square(slope).sum(-1).mean() for slope in (down, right)))


@pytest.mark.parametrize("name", ["affine1d", "affine3d"])
def test_other_dimensions(name):
    transform = registry[name]()
    theta = transform.identity().double() + torch.randn(3, transform.num_params, dtype=torch.float64)
    grid = transform.grid(theta, (4, 5, 6)[: transform.ndim])
    linear = transform.matrix(theta)[:, :-1, :-1]
    expected = (linear - torch.eye(transform.ndim, dtype=torch.float64)).square().sum((1, 2))
    torch.testing.assert_close(Smoothness().of_grid(grid), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(1, 5), (1, 1)], ids=str)
def test_single_point_has_no_neighbour(size):
    grid = Affine().grid(torch.tensor([[0.5, 0, 0, 0, 0.5, 0]]), size)
    assert Smoothness().of_grid(grid).tolist() == pytest.approx([0.25 * (max(size) > 1)])


def test_descent_makes_neighbours_alike_and_leaves_the_mean():
    theta = 0.1 * torch.randn(1, 2 * 4 * 4)
    mean = theta.view(-1, 2).mean(0)
    theta.requires_grad_()
    flow, optimiser = Flow(4), torch.optim.SGD([theta], 0.3)
    for _ in range(100):
        optimiser.zero_grad()
        Smoothness().of_grid(flow.grid(theta, (4, 4))).sum().backward()
        optimiser.step()
    torch.testing.assert_close(theta.detach().view(-1, 2), mean.expand(16, 2), rtol=0, atol=1e-5)
