"""Thin plate splines against scipy and scikit-image, where they bend: at zero offsets every formula looks right."""

import numpy as np
import pytest
import torch
from scipy.interpolate import RBFInterpolator
from skimage.transform import ThinPlateSplineTransform

from stn_lightning.geometry import regular_points
from stn_lightning.transforms import registry

FREE = [[-0.9, -0.8], [0.7, -0.9], [0.1, 0.05], [-0.6, 0.9], [0.8, 0.75], [0.3, -0.4], [-1.3, 0.2]]
SPLINES = {
    "2": {"grid_size": 2},
    "3": {"grid_size": 3},
    "4": {},
    "10": {"grid_size": 10},
    "2x5": {"grid_size": (2, 5)},
    "free": {"control_points": FREE},
    "three": {"control_points": FREE[:3]},
}


def control_points(transform):
    return transform.identity().double().view(-1, 2).numpy()  # they are float32 numbers


def oracle(transform, theta, smoothing=0.0):
    positions = theta.view(-1, 2).numpy()
    return RBFInterpolator(control_points(transform), positions, smoothing=smoothing, kernel="thin_plate_spline", degree=1)


def bent(transform, batch=2):
    """Source positions 0.3 (normal) from their control points, which is far from affine."""
    torch.manual_seed(0)
    return transform.identity().double() + 0.3 * torch.randn(batch, transform.num_params, dtype=torch.float64)


@pytest.mark.parametrize("smoothing", [0.0, 1e-3, 0.5, 100.0])
@pytest.mark.parametrize("arguments", SPLINES.values(), ids=SPLINES)
def test_map_is_that_of_scipy(arguments, smoothing):
    transform = registry["tps"](**arguments, regularisation=smoothing)
    xy = 3 * torch.rand(300, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) - 1.5
    theta = bent(transform)
    for row, ours in zip(theta, transform.points(theta, xy), strict=True):
        spline = oracle(transform, row, smoothing)
        np.testing.assert_allclose(ours, spline(xy.numpy()), rtol=0, atol=1e-11)  # the systems' condition is up to 1e4


@pytest.mark.parametrize("align_corners", [False, True])
def test_one_spline_gives_any_output_size(align_corners):
    transform = registry["tps"]()
    theta = bent(transform, 1)
    spline = oracle(transform, theta)
    for size in [(1, 1), (5, 30), (16, 16), (41, 7)]:
        expected = spline(regular_points(size, align_corners).numpy()).reshape(1, *size, 2)
        np.testing.assert_allclose(transform.grid(theta, size, align_corners), expected, rtol=0, atol=1e-12)


def test_map_is_that_of_skimage():
    transform = registry["tps"]()
    theta = bent(transform, 1)
    spline = ThinPlateSplineTransform.from_estimate(control_points(transform), theta.view(-1, 2).numpy())
    xy = regular_points((15, 15))
    np.testing.assert_allclose(transform.points(theta, xy)[0], spline(xy.numpy()), rtol=0, atol=1e-6)  # its log(r + 1e-8)


@pytest.mark.parametrize("arguments", SPLINES.values(), ids=SPLINES)
def test_control_points_go_where_theta_says(arguments):
    transform = registry["tps"](**arguments)
    theta = bent(transform)
    moved = transform.points(theta, torch.from_numpy(control_points(transform)))
    torch.testing.assert_close(moved.flatten(1), theta, rtol=0, atol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 1.0])
def test_affine_configurations_stay_affine(smoothing):
    """An affine map bends nowhere, so that smoothing has nothing to smooth."""
    transform = registry["tps"](control_points=FREE, regularisation=smoothing)
    matrix, shift = torch.tensor([[0.7, -0.4], [0.2, 1.1]], dtype=torch.float64), torch.tensor([0.3, -0.1])
    xy = 4 * torch.rand(50, 2, dtype=torch.float64) - 2
    theta = torch.from_numpy(control_points(transform)) @ matrix.T + shift
    torch.testing.assert_close(transform.points(theta.view(1, -1), xy)[0], xy @ matrix.T + shift, rtol=0, atol=1e-12)


def test_lattice_is_row_by_row_over_the_frame():
    assert registry["tps"](grid_size=(2, 3)).identity().tolist() == [-1, -1, 0, -1, 1, -1, -1, 1, 0, 1, 1, 1]
    assert registry["tps"]().num_params == 32
    assert registry["tps"](grid_size=(2, 3)).num_params == 12


@pytest.mark.parametrize(
    "arguments",
    [
        {"grid_size": 1},
        {"grid_size": (3, 1)},
        {"grid_size": (3, 3, 3)},
        {"regularisation": -0.1},
        {"regularisation": float("nan")},
        {"control_points": FREE[:2]},
        {"control_points": [[0, 0, 0], [1, 0, 0], [0, 1, 0]]},
        {"control_points": [*FREE, FREE[0]]},
        {"control_points": [*FREE, [FREE[0][0] + 1e-12, FREE[0][1]]]},  # the same float32 number
        {"control_points": [[0, 0], [1, 1], [2, 2], [-1, -1]]},
        {"control_points": [*FREE, [float("nan"), 0]]},
    ],
    ids=str,
)
def test_control_points_that_determine_no_spline_are_refused(arguments):
    with pytest.raises(ValueError, match="expected"):
        registry["tps"](**arguments)
