"""Learning B at a low rank: the product of (K, r) and (r, N) is added to the analytic basis."""

import numpy as np
import pytest
import torch

from stn_lightning.geometry import regular_points
from stn_lightning.transforms import registry

SIZE = (5, 8)
RANK = 2


@pytest.fixture
def learned():
    return registry["tps"](learn_basis=True, basis_size=SIZE, basis_rank=RANK)


def scatter(transform):
    """Changes what was learned, as training would."""
    with torch.no_grad():
        for parameter in transform.parameters():
            parameter.copy_(torch.randn_like(parameter))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_grid_at_the_start_is_the_analytic_one(learned, draw, dtype):
    theta = draw(learned, 3, dtype)
    tolerance = 1e-14 if dtype == torch.float64 else 1e-6  # two orders of summation
    torch.testing.assert_close(learned.grid(theta, SIZE), registry["tps"]().grid(theta, SIZE), rtol=0, atol=tolerance)


def test_identity_stays_exact_whatever_is_learned(learned):
    scatter(learned)
    grid = learned.grid(learned.identity()[None], SIZE)
    assert torch.equal(grid, regular_points(SIZE).float().view(1, *SIZE, 2))


def test_what_is_added_has_the_rank_and_is_the_product(learned):
    scatter(learned.double())
    moves = torch.eye(32, dtype=torch.float64)[::2]  # of one control point each, in x
    theta = learned.identity().double() + moves
    added = (learned.grid(theta, SIZE) - registry["tps"]().grid(theta, SIZE))[..., 0].flatten(1).detach().numpy()
    assert np.linalg.matrix_rank(added, tol=1e-9) == RANK
    mixture, table = (p.detach().numpy() for p in (learned.basis_mixture, learned.learned_basis))
    np.testing.assert_allclose(added, mixture @ table, rtol=0, atol=1e-13)


def test_rank_saves_parameters(learned):
    shapes = {name: tuple(value.shape) for name, value in learned.state_dict().items()}
    assert shapes == {"learned_basis": (RANK, 40), "basis_mixture": (16, RANK)}


def test_gradient_reaches_both_factors(learned, draw):
    """The table's at once, the mixture's once the table is not zero."""

    def gradients():
        learned.zero_grad()
        learned.grid(draw(learned), SIZE).square().sum().backward()
        return [p.grad.abs().max() for p in (learned.learned_basis, learned.basis_mixture)]

    table, mixture = gradients()
    assert table > 0
    assert mixture == 0
    with torch.no_grad():
        learned.learned_basis -= 0.01 * learned.learned_basis.grad
    assert min(gradients()) > 0


def test_points_interpolate_what_was_learned(learned, draw):
    scatter(learned.double())
    theta = draw(learned)
    grid = learned.grid(theta, SIZE).view(3, -1, 2)
    torch.testing.assert_close(learned.points(theta, regular_points(SIZE)), grid, rtol=0, atol=1e-13)


@pytest.mark.parametrize("rank", [0, 17, -1])
def test_rank_out_of_range_is_refused(rank):
    with pytest.raises(ValueError, match=f"expected basis_rank from 1 to 16, .*; got {rank}"):
        registry["tps"](learn_basis=True, basis_size=SIZE, basis_rank=rank)


def test_rank_without_a_learned_basis_is_refused():
    with pytest.raises(ValueError, match="expected basis_rank only with learn_basis, got learn_basis=False, basis_rank=2"):
        registry["tps"](basis_rank=2)
