"""What the penalties on a sampling grid cost, for any transform, and where they push."""

import cv2
import numpy as np
import pytest
import torch

from stn_lightning.component import plain
from stn_lightning.networks import Output
from stn_lightning.penalties import Area, Equivariance, Identity, Outside, Overlap, cell_areas
from stn_lightning.spatial_transformer import Warped
from stn_lightning.transforms import Affine, ThinPlateSpline, registry

SIZE = (6, 9)
BUILT_IN = ("translation", "attention", "similarity", "affine", "projective", "tps")
both = pytest.mark.parametrize("align_corners", [False, True], ids=["", "align_corners"])


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def bent(name, batch=5, by=0.05):
    """A transform and thetas near its identity."""
    transform = registry[name]()
    identity = transform.identity().double()
    return transform, identity + by * torch.randn(batch, transform.num_params, dtype=torch.float64)


def cost(penalty, *grids, prediction=None):
    warps = {f"input.{i}": Warped(grid, grid, grid) for i, grid in enumerate(grids, 1)}
    return penalty(Output(torch.zeros(1), warps), torch.zeros(1), lambda images: None)


@both
@pytest.mark.parametrize("name", BUILT_IN)
def test_cells_have_the_area_of_their_polygons(name, align_corners):
    """OpenCV's, of a warp without folds; in normalised units the identity's cell is a step wide and a step high."""
    transform, theta = bent(name)
    grid = transform.grid(theta, SIZE, align_corners)
    steps = [2 / (n - align_corners) for n in SIZE]
    corners = torch.stack([grid[:, :-1, :-1], grid[:, :-1, 1:], grid[:, 1:, 1:], grid[:, 1:, :-1]], dim=3).float().numpy()
    expected = np.array([cv2.contourArea(cell) for cell in corners.reshape(-1, 4, 2)]).reshape(5, SIZE[0] - 1, SIZE[1] - 1)
    np.testing.assert_allclose(cell_areas(grid, align_corners), expected / np.prod(steps), rtol=0, atol=2e-5)


def test_area_of_an_affine_window_is_its_determinant():
    theta = torch.randn(7, 6, dtype=torch.float64)
    areas = cell_areas(Affine().grid(theta, SIZE))
    determinant = torch.linalg.det(theta.view(7, 2, 3)[:, :, :2])
    torch.testing.assert_close(areas, determinant[:, None, None].expand_as(areas), rtol=0, atol=1e-12)
    assert (determinant < 0).any()  # mirrored


def test_area_within_its_range_costs_nothing():
    grid = Affine().grid(torch.tensor([[0.5, 0, 0, 0, 0.4, 0], [2.0, 0, 0, 0, 1.0, 0], [-1.0, 0, 0, 0, 1.0, 0]]), SIZE)
    assert Area(least=0.1, most=3.0).of_grid(grid[:2]).tolist() == [0, 0]
    assert Area(least=0.3, most=1.5).of_grid(grid).tolist() == pytest.approx([0.1, 0.5, 1.3], abs=1e-6)


def test_folded_spline_is_unfolded():
    """A control point is carried over its neighbour; descent on the area of cells brings it back."""
    transform = ThinPlateSpline(grid_size=3)
    theta = transform.identity()[None].clone()
    theta[0, 8] = 1.6  # the middle one, over the right one
    theta.requires_grad_()
    penalty = Area(least=0.2, most=3.0)
    assert (cell_areas(transform.grid(theta, (16, 16))) < 0).any()
    optimiser = torch.optim.SGD([theta], 0.5)
    for _ in range(200):
        optimiser.zero_grad()
        cost(penalty, transform.grid(theta, (16, 16))).backward()
        optimiser.step()
    assert (cell_areas(transform.grid(theta, (16, 16))) > 0.05).all()


@both
@pytest.mark.parametrize("name", BUILT_IN)
def test_identity_costs_nothing_and_what_leaves_it_the_squared_distance(name, align_corners):
    transform, theta = bent(name)
    identity = transform.grid(transform.identity()[None].double(), SIZE, align_corners)
    penalty = Identity(align_corners=align_corners)
    assert float(cost(penalty, identity)) == pytest.approx(0, abs=1e-12)
    grid = transform.grid(theta, SIZE, align_corners)
    expected = (grid - identity).square().sum(-1).mean((1, 2))
    torch.testing.assert_close(penalty.of_grid(grid), expected, rtol=0, atol=1e-12)


def test_cost_is_the_weighted_mean_over_samples_and_transformers():
    first, second = (torch.randn(3, *SIZE, 2) for _ in range(2))
    both = (Outside().of_grid(first).mean() + Outside().of_grid(second).mean()) / 2
    assert float(cost(Outside(4.0), first, second)) == pytest.approx(4 * float(both))


@pytest.mark.parametrize("penalty", [Outside(), Overlap(), Area(), Identity(), Equivariance()], ids=lambda p: type(p).__name__)
def test_network_without_transformers_costs_nothing(penalty):
    assert float(cost(penalty)) == 0


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: Outside(-1.0), "Outside: expected weight of at least 0, got -1"),
        (lambda: Identity(float("nan")), "Identity: expected weight of at least 0, got nan"),
        (lambda: Area(least=2.0, most=1.0), "least of at most most, got least=2.0, most=1.0"),
        (lambda: cost(Area(), torch.zeros(2, 1, 5, 2)), "at least 2x2 points .* got 1x5"),
        (lambda: Equivariance(scale=0.9), "scale of at least 1 .*got scale=0.9"),
        (lambda: Equivariance(degrees=-1.0), "degrees of at least 0, got -1"),
    ],
)
def test_arguments_out_of_range(build, text):
    with pytest.raises(ValueError, match=text):
        build()


def test_penalty_is_plain_data():
    assert plain(Area(2.0)) == {
        "class_path": "stn_lightning.penalties.Area",
        "init_args": {"weight": 2.0, "least": 0.1, "most": 1.5, "align_corners": False},
    }
