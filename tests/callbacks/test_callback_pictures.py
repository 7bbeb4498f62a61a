"""The picture of a warp: three rows of cells, and the outline of the grid where it belongs."""

import pytest
import torch

from stn_lightning.callbacks import WarpPictures, panel
from stn_lightning.spatial_transformer import Warped
from stn_lightning.transforms import registry

SIDE, GAP = 84, 4
CELL = SIDE + GAP
ORANGE = torch.tensor([255, 80, 40], dtype=torch.uint8)


def warped(theta, batch=2, size=(28, 28), transform="affine", channels=1):
    parts = registry[transform]()
    theta = torch.tensor(theta, dtype=torch.float32).expand(batch, -1)
    grid = parts.grid(theta, size)
    return Warped(torch.full((batch, channels, *size), 0.5), theta, grid)


def cell(picture, row, column):
    """A cell without the gap around it."""
    top, left = row * CELL + GAP // 2, column * CELL + GAP // 2
    return picture[:, top : top + SIDE, left : left + SIDE]


def outline(cell):
    """(N, 2) pixels (x, y) of the outline."""
    y, x = (cell == ORANGE[:, None, None]).all(0).nonzero(as_tuple=True)
    return torch.stack([x, y], 1)


def test_panel_is_a_column_an_image_and_three_rows():
    picture = panel(torch.rand(5, 1, 28, 28), warped([1, 0, 0, 0, 1, 0], batch=5), SIDE)
    assert picture.shape == (3, 3 * CELL, 5 * CELL)
    assert picture.dtype == torch.uint8
    assert panel(torch.rand(5, 1, 28, 28), warped([1, 0, 0, 0, 1, 0], batch=5), SIDE, plain_row=False).shape[1] == 2 * CELL


def test_gap_is_white_and_cells_are_the_images():
    images = torch.stack([torch.zeros(1, 28, 28), torch.ones(1, 28, 28)])
    picture = panel(images, warped([1, 0, 0, 0, 1, 0]), SIDE)
    assert (picture[:, :2] == 255).all()
    assert (picture[:, :, :2] == 255).all()
    assert (cell(picture, 0, 0) == 0).all()
    assert (cell(picture, 0, 1) == 255).all()
    assert (cell(picture, 2, 0) == 128).all()


def test_image_is_upright():
    image = torch.zeros(1, 1, 28, 28)
    image[..., :3, 20:] = 1  # top right
    picture = cell(panel(image, warped([1, 0, 0, 0, 1, 0], batch=1), SIDE), 0, 0)
    assert (picture[:, :9, 60:] == 255).all()
    assert (picture[:, 9:] == 0).all()


def test_outline_of_the_identity_is_the_border():
    """The centres of the outermost of 28 pixels: 1.5 of 84 from the edge."""
    found = outline(cell(panel(torch.zeros(2, 1, 28, 28), warped([1, 0, 0, 0, 1, 0]), SIDE), 1, 0))
    low, high = found.amin(0), found.amax(0)
    assert (low <= 2).all()
    assert (high >= SIDE - 3).all()
    inside = ((found > 4) & (found < SIDE - 5)).all(1)
    assert not inside.any()


@pytest.mark.parametrize(("tx", "ty"), [(0.0, 0.0), (0.5, 0.0), (-0.25, 0.25)])
def test_outline_of_a_half_window_is_where_it_looks(tx, ty):
    found = outline(cell(panel(torch.zeros(2, 1, 28, 28), warped([0.5, 0, tx, 0, 0.5, ty]), SIDE), 1, 1)).float()
    low, high = found.amin(0), found.amax(0)
    middle = torch.tensor([(1 + tx) * SIDE / 2, (1 + ty) * SIDE / 2]) - 0.5
    torch.testing.assert_close((low + high) / 2, middle, atol=1.0, rtol=0)
    torch.testing.assert_close(high - low, torch.full((2,), SIDE / 2 * 27 / 28), atol=2.5, rtol=0)


def test_outline_of_a_rotation_is_turned():
    """By 45 degrees, at half size: a square on its corner."""
    c = 0.5 * 2**-0.5
    found = outline(cell(panel(torch.zeros(2, 1, 28, 28), warped([c, -c, 0, c, c, 0]), SIDE), 1, 0)).float() - (SIDE - 1) / 2
    reach = found.abs().sum(1)  # the 1-norm is constant on it
    assert reach.max() - reach.min() <= 5
    assert abs(reach.mean() - SIDE / 2 * 2**0.5 / 2 * 27 / 28) < 2


@pytest.mark.parametrize(
    "theta", [[1, 0, 5, 0, 1, 0], [float("nan")] * 6, [float("inf"), 0, 0, 0, 1, 0], [1e30, 0, 0, 0, 1, 0]]
)
def test_outline_outside_or_without_numbers_is_no_error(theta):
    picture = panel(torch.zeros(1, 1, 28, 28), warped(theta, batch=1), SIDE)
    assert picture.shape == (3, 3 * CELL, CELL)


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_channels(channels):
    images = torch.rand(2, channels, 10, 14)
    picture = panel(images, warped([1, 0, 0, 0, 1, 0], channels=channels, size=(6, 9)), SIDE)
    expected = images if channels == 3 else images.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    expected = torch.nn.functional.interpolate(expected, size=(SIDE, SIDE), mode="nearest-exact")
    assert (cell(picture, 0, 1).float() - expected[1] * 255).abs().max() <= 0.5001


def test_features_beyond_the_unit_range_are_rescaled():
    features = torch.linspace(-3, 5, 64).view(1, 1, 8, 8)
    shown = cell(panel(features, warped([1, 0, 0, 0, 1, 0], batch=1), SIDE), 0, 0)
    assert (shown.min(), shown.max()) == (0, 255)


def test_outline_leaves_the_images_alone():
    images = torch.rand(2, 1, 28, 28)
    before = images.clone()
    panel(images, warped([1, 0, 0, 0, 1, 0]), SIDE)
    assert torch.equal(images, before)


@pytest.mark.parametrize("options", [{"num_images": 0}, {"side": 0}])
def test_arguments_out_of_range(options):
    with pytest.raises(ValueError, match="at least 1"):
        WarpPictures(**options)
