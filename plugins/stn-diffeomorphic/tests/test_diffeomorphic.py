"""The flow against scipy's integrator on scipy's splines; no folds, and what a flow keeps."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.interpolate import BSpline
from stn_lightning.cli import run
from torch.autograd import gradcheck, gradgradcheck

from stn_diffeomorphic import Diffeomorphic
from stn_diffeomorphic._splines import STEEPEST, cubic, velocity

FOLDER = Path(__file__).parents[1]
VARIANTS = {
    "default": {},
    "one step": {"max_velocity": 0.2},
    "fast": {"max_velocity": 2.0},
    "3x5": {"grid_size": (3, 5)},
    "fixed": {"fixed_frame": True},
    "fine": {"grid_size": 7, "max_velocity": 0.25, "fixed_frame": True},
}
variants = pytest.mark.parametrize("arguments", VARIANTS.values(), ids=VARIANTS)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def draw(transform, spread, batch=2):
    return spread * torch.randn(batch, transform.num_params, dtype=torch.float64)


def scattered(count, reach=1.0):
    """(N, 2) points in the square of a half width."""
    return reach * (2 * torch.rand(count, 2, dtype=torch.float64) - 1)


def axis(count, fixed_frame):
    """Control points along a side, and their spacing."""
    spacing = 2 / (count + 3 if fixed_frame else count - 1)
    return spacing * (np.arange(count) - (count - 1) / 2), spacing


def splines(count, fixed_frame):
    """A function: the basis splines of a side at coordinates (M,), as (M, count)."""
    centres, spacing = axis(count, fixed_frame)
    each = [BSpline.basis_element(c + spacing * np.arange(-2, 3), extrapolate=False) for c in centres]
    return lambda at: np.nan_to_num(np.stack([spline(at) for spline in each], axis=1))


def flow(points, theta, grid_size=4, max_velocity=0.4, fixed_frame=False):
    """Where scipy takes points (N, 2) in unit time."""
    rows, columns = (grid_size, grid_size) if isinstance(grid_size, int) else grid_size
    control = max_velocity * np.tanh(theta.numpy() / max_velocity).reshape(rows, columns, 2)
    along_x, along_y = splines(columns, fixed_frame), splines(rows, fixed_frame)

    def field(_, flat):
        x, y = flat.reshape(2, -1)
        return np.einsum("nr,nc,rcd->dn", along_y(y), along_x(x), control).ravel()

    return solve_ivp(field, (0, 1), points.numpy().T.ravel(), "DOP853", rtol=1e-12, atol=1e-13).y[:, -1].reshape(2, -1).T


def jacobian(transform, theta, xy):
    """(B, N, 2, 2) derivatives of the source points in the target points (N, 2)."""
    copies = xy.expand(len(theta), -1, -1).clone().requires_grad_()
    moved = torch.stack([transform.points(t[None], p)[0] for t, p in zip(theta, copies, strict=True)])
    rows = [torch.autograd.grad(moved[..., i].sum(), copies, retain_graph=True)[0] for i in (0, 1)]
    return torch.stack(rows, dim=-2)


@variants
def test_warp_is_the_flow_that_scipy_integrates(arguments):
    """By many steps to scipy's precision; by the steps that are taken to that of a Runge-Kutta method of order 4."""
    transform = Diffeomorphic(**arguments)
    theta, xy = draw(transform, 0.2), scattered(40, 1.3)
    expected = np.stack([flow(xy, t, **arguments) for t in theta])
    np.testing.assert_allclose(transform.points(theta, xy), expected, rtol=0, atol=2e-5)
    transform.steps = 64
    np.testing.assert_allclose(transform.points(theta, xy), expected, rtol=0, atol=1e-8)


@variants
def test_no_theta_folds(arguments):
    """A velocity of the largest size and random sign at every control point: the Jacobian is positive everywhere."""
    transform = Diffeomorphic(**arguments)
    theta = 1e3 * draw(transform, 1.0).sign()
    assert jacobian(transform, theta, scattered(500, 1.5)).det().min() > 0


def steepest_field():
    """(6, 6) signs of the velocities that bend a field most in a cell, from scipy's splines, and how much: the constant."""
    spline = BSpline.basis_element(np.arange(-2.0, 3.0), extrapolate=False)
    at = 2 + np.linspace(0, 1, 401)[:, None] - np.arange(6)
    value, slope = np.nan_to_num(spline(at)), np.nan_to_num(spline.derivative()(at))
    terms = np.einsum("xc,yr->xyrc", slope, value) + np.einsum("xc,yr->xyrc", value, slope)
    sums = np.abs(terms).sum(axis=(2, 3))
    worst = np.unravel_index(sums.argmax(), sums.shape)
    return -np.sign(terms[worst]), sums.max()


def test_the_bound_is_that_of_scipys_splines():
    assert steepest_field()[1] <= STEEPEST <= steepest_field()[1] + 1e-4


@pytest.mark.parametrize("max_velocity", [0.5, 1.0])
def test_the_steepest_field_folds_only_with_fewer_steps(max_velocity):
    transform = Diffeomorphic(6, max_velocity)
    signs = torch.from_numpy(steepest_field()[0])
    theta, xy = 1e3 * torch.stack([signs, signs], dim=-1).view(1, -1), scattered(1000)
    assert jacobian(transform, theta, xy).det().min() > 0
    transform.steps //= 4
    assert jacobian(transform, theta, xy).det().min() < 0


@pytest.mark.parametrize(("arguments", "steps"), [({}, 2), ({"max_velocity": 0.2}, 1), ({"grid_size": (4, 8)}, 5)], ids=str)
def test_steps_are_as_many_as_the_bound_asks(arguments, steps):
    assert Diffeomorphic(**arguments).steps == steps


@variants
def test_inverse_leads_back(arguments):
    """From anywhere, also outside the image, also where every velocity is at its bound."""
    transform, xy = Diffeomorphic(**arguments), scattered(300, 1.5)
    for spread, tolerance in ((0.1, 2e-5), (1e3, 1e-3)):
        theta = draw(transform, spread)
        there = transform.points(theta, xy)
        assert (there - xy).abs().max() > 0.02
        back = torch.cat([transform.points(t[None], p) for t, p in zip(transform.inverse(theta), there, strict=True)])
        torch.testing.assert_close(back, xy.expand_as(back), rtol=0, atol=tolerance)


def test_flows_of_one_field_add_up():
    """Half the time twice is the whole time."""
    transform, xy = Diffeomorphic(), scattered(200)
    velocities = 0.1 * torch.randn(1, 32, dtype=torch.float64)
    whole, half = (0.4 * torch.atanh(t * velocities / 0.4) for t in (1.0, 0.5))
    twice = transform.points(half, transform.points(half, xy)[0])
    torch.testing.assert_close(twice, transform.points(whole, xy), rtol=0, atol=1e-7)


def test_fixed_frame_stays_and_keeps_the_inside_inside():
    transform = Diffeomorphic(fixed_frame=True)
    along = torch.linspace(-1, 1, 50, dtype=torch.float64)
    frame = torch.cat([torch.stack([along, torch.full_like(along, s)], 1)[:, d] for s in (-1, 1) for d in ([0, 1], [1, 0])])
    theta = draw(transform, 1e3)
    torch.testing.assert_close(transform.points(theta, frame), frame.expand(2, -1, -1), rtol=0, atol=1e-15)
    inside = transform.points(theta, scattered(500, 0.999))
    assert inside.abs().max() < 1
    assert (Diffeomorphic().points(theta, frame) - frame).abs().max() > 0.1


def test_no_point_moves_further_than_the_velocity_allows_nor_far_outside():
    transform = Diffeomorphic(max_velocity=0.3)
    theta, xy = draw(transform, 1e3), scattered(500, 1.2)
    moved = (transform.points(theta, xy) - xy).abs().max()
    assert 0.15 < moved <= 0.3
    outside = torch.tensor([[-2.334, 0.1], [0.2, 2.4], [5.0, 0.0]], dtype=torch.float64)
    assert torch.equal(transform.points(theta, outside), outside.expand(2, -1, -1))


def test_theta_is_x_and_y_of_each_point_row_by_row():
    """Small velocities move a point by themselves: 4/9 of that of the control point at it."""
    transform = Diffeomorphic(grid_size=(2, 3))
    theta = torch.zeros(1, 12, dtype=torch.float64)
    theta[0, 2 * 5] = 1e-6  # row 1, column 2: the lower right corner, along x
    lattice = torch.tensor([[x, y] for y in (-1, 1) for x in (-1, 0, 1)], dtype=torch.float64)
    moved = (transform.points(theta, lattice) - lattice)[0] / 1e-6
    by_hand = torch.zeros(6, 2, dtype=torch.float64)
    by_hand[[1, 2, 4, 5], 0] = torch.tensor([1.0, 4.0, 4.0, 16.0], dtype=torch.float64) / 36
    torch.testing.assert_close(moved, by_hand, rtol=0, atol=1e-5)


def test_derivatives_in_the_target_points_and_on_knots():
    transform = Diffeomorphic(max_velocity=0.2)
    theta, xy = draw(transform, 0.2, 1).requires_grad_(), scattered(3).requires_grad_()
    assert gradcheck(transform.points, (theta, xy))
    assert gradgradcheck(transform.points, (theta, xy))
    knots = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(cubic(knots).sum(), knots, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), knots)
    assert first.tolist() == [0, 0.5, 0, -0.5, 0]
    assert second.tolist() == [0, 1, -2, 1, 0]


def test_velocity_is_that_of_scipys_splines():
    control, where = torch.randn(1, 2, 3, 5, dtype=torch.float64), torch.rand(1, 2, 60, dtype=torch.float64) * 8 - 2
    x, y = where[0].numpy()
    spline = BSpline.basis_element(np.arange(-2.0, 3.0), extrapolate=False)
    along_x, along_y = (np.nan_to_num(spline(at[:, None] - np.arange(n))) for at, n in ((x, 5), (y, 3)))
    expected = np.einsum("drc,nr,nc->dn", control[0], along_y, along_x)
    np.testing.assert_allclose(velocity(control, where)[0], expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grid_size": 1}, "expected grid_size of at least 2 control points per side, got 1"),
        ({"grid_size": (3, 1)}, "expected grid_size"),
        ({"grid_size": (3, 3, 3)}, "expected grid_size"),
        ({"max_velocity": 0.0}, "expected max_velocity above 0 and finite, got 0.0"),
        ({"max_velocity": float("nan")}, "got nan"),
        ({"max_velocity": float("inf")}, "got inf"),
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Diffeomorphic(**arguments)


@pytest.mark.parametrize("config", sorted((FOLDER / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_commands_of_the_config_train(config, tmp_path, monkeypatch):
    """As they stand in its comment, bracketed options left out and given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["stn"])
    (command,) = re.findall(r"^# +stn (.+)$", config.read_text(), re.MULTILINE)
    for words in (re.sub(r"\[.*?\]", "", command), re.sub(r"[\[\]]", "", command)):
        arguments = [str(FOLDER.parents[1] / word) if word.endswith(".yaml") else word for word in shlex.split(words)]
        run([*arguments, "--trainer.fast_dev_run=2", "--trainer.enable_progress_bar=false", "--seed_everything=false"])
