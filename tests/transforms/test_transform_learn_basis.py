"""Learning B: a parameter of (K, N), analytic at the start."""

import pytest
import torch

from stn_lightning.geometry import regular_points
from stn_lightning.transforms import registry

SIZE = (5, 8)
FUNCTIONS = {"translation": 3, "attention": 3, "similarity": 3, "affine": 3, "tps": 16}  # K
both = pytest.mark.parametrize("align_corners", [False, True])
precisions = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


@pytest.fixture(params=FUNCTIONS)
def name(request):
    return request.param


@pytest.fixture
def learned(name):
    return registry[name](learn_basis=True, basis_size=SIZE)


def scatter(transform):
    """Changes what was learned, as training would."""
    with torch.no_grad():
        for parameter in transform.parameters():
            parameter.copy_(torch.randn_like(parameter))


@both
@precisions
def test_grid_at_the_start_is_the_analytic_one(name, learned, draw, dtype, align_corners):
    theta = draw(learned, 3, dtype)
    expected = registry[name]().grid(theta, SIZE, align_corners)
    tolerance = 1e-14 if dtype == torch.float64 else 1e-6  # two orders of summation
    torch.testing.assert_close(learned.grid(theta, SIZE, align_corners), expected, rtol=0, atol=tolerance)


@both
@precisions
def test_identity_stays_exact_whatever_is_learned(learned, dtype, align_corners):
    scatter(learned)
    grid = learned.grid(learned.identity().to(dtype)[None], SIZE, align_corners)
    assert torch.equal(grid, regular_points(SIZE, align_corners).to(dtype).view(1, *SIZE, 2))


def test_window_of_fixed_scale_learns_too(draw):
    learned = registry["translation"](scale=0.5, learn_basis=True, basis_size=SIZE)
    theta = draw(learned)
    expected = registry["translation"](scale=0.5).grid(theta, SIZE)
    torch.testing.assert_close(learned.grid(theta, SIZE), expected, rtol=0, atol=1e-14)


def test_basis_is_the_only_parameter_and_the_only_state(name, learned, draw):
    learned.grid(draw(learned), SIZE)
    count = FUNCTIONS[name] * SIZE[0] * SIZE[1]
    assert sum(p.numel() for p in learned.parameters()) == count
    assert [v.shape for v in learned.state_dict().values()] == [(FUNCTIONS[name], SIZE[0] * SIZE[1])]


def test_state_dict_carries_what_was_learned(name, learned, draw):
    scatter(learned)
    other = registry[name](learn_basis=True, basis_size=SIZE)
    theta = draw(learned)
    assert not torch.equal(other.grid(theta, SIZE), learned.grid(theta, SIZE))
    other.load_state_dict(learned.state_dict())
    assert torch.equal(other.grid(theta, SIZE), learned.grid(theta, SIZE))


def test_gradient_reaches_the_basis(name, learned, draw):
    learned.grid(draw(learned), SIZE).square().sum().backward()
    (parameter,) = learned.parameters()
    used = slice(2, None) if name == "translation" else slice(None)  # M of a translation has x and y fixed: only 1 is weighted
    assert parameter.grad[used].abs().amax(dim=1).min() > 0


def test_learned_basis_moves_its_own_point_only(learned, draw):
    theta = draw(learned)
    before = learned.grid(theta, SIZE).view(3, -1, 2)
    with torch.no_grad():
        next(learned.parameters())[-1, 11] += 1
    moved = (learned.grid(theta, SIZE).view(3, -1, 2) - before).abs().amax(dim=(0, 2)) > 0
    assert moved.nonzero().tolist() == [[11]]


def test_points_interpolate_what_was_learned(name, learned, draw):
    scatter(learned)
    learned.double()
    analytic = registry[name]()
    theta = draw(learned)

    def displacement(xy):  # what learning added
        return learned.points(theta, xy) - analytic.points(theta, xy)

    grid = learned.grid(theta, SIZE).view(3, -1, 2)
    centres = regular_points(SIZE)
    torch.testing.assert_close(learned.points(theta, centres), grid, rtol=0, atol=1e-13)
    between = (centres[:-1] + centres[1:])[:7] / 2  # between neighbours of the first row
    expected = (displacement(centres[:7]) + displacement(centres[1:8])) / 2
    torch.testing.assert_close(displacement(between), expected, rtol=0, atol=1e-13)


def test_another_size_is_refused(learned, draw):
    with pytest.raises(ValueError, match=r"expected.*\(5, 8\).*got.*\(8, 5\)"):
        learned.grid(draw(learned), (8, 5))


@pytest.mark.parametrize(
    "arguments",
    [
        {"learn_basis": True},
        {"basis_size": SIZE},
        {"learn_basis": True, "basis_size": (5,)},
        {"learn_basis": True, "basis_size": (5, 0)},
    ],
    ids=str,
)
def test_malformed_basis_size_is_refused(name, arguments):
    with pytest.raises(ValueError, match=r"expected.*got"):
        registry[name](**arguments)


@pytest.mark.parametrize("basis_size", [5, (5.5, 8)], ids=str)
def test_basis_size_that_is_no_pair_of_integers_is_refused(basis_size):
    with pytest.raises(ValueError, match=r"expected.*got"):
        registry["affine"](learn_basis=True, basis_size=basis_size)
