"""Words, pictures and penalties of warps on a line and in space."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from stn_lightning.callbacks import in_words
from stn_lightning.callbacks._drawing import cells, in_the_plane, outlined, shown
from stn_lightning.penalties import Area, Identity, Outside, cell_areas
from stn_lightning.penalties._overlap import overlap
from stn_lightning.spatial_transformer import Warped
from stn_lightning.transforms import Affine1d, Affine3d

SIZE = {1: (12,), 3: (8, 8, 8)}
LINE, SPACE = Affine1d(), Affine3d()


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def windows(transform, scale, centre):
    """The grid of an upright window."""
    n = transform.ndim
    matrix = torch.cat([scale * torch.eye(n), torch.tensor(centre).view(n, 1)], dim=1)
    return transform.grid(matrix.view(1, -1).double(), SIZE[n])


def warp(grid):
    return Warped(grid, grid, grid)


def test_turn_of_space_in_words():
    """The angle is scipy's; scale is the root of the volume; shifts are in voxels."""
    turns = Rotation.random(6, random_state=0)
    linear = 0.7 * turns.as_matrix()
    theta = torch.from_numpy(np.concatenate([linear, np.full((6, 3, 1), [[0.5], [-0.25], [0.125]])], axis=2)).flatten(1)
    words = in_words(warp(SPACE.grid(theta, (8, 8, 8))), (8, 8, 8))
    torch.testing.assert_close(
        words["angle_degrees"].double(), torch.from_numpy(np.rad2deg(turns.magnitude())), rtol=0, atol=0.02
    )
    torch.testing.assert_close(words["scale"], torch.full((6,), 0.7), rtol=0, atol=1e-5)
    for axis, shift in zip("xyz", (2.0, -1.0, 0.5), strict=True):
        torch.testing.assert_close(words[f"shift_{axis}_pixels"], torch.full((6,), shift), rtol=0, atol=1e-4)


def test_window_of_a_line_in_words():
    words = in_words(warp(windows(LINE, 0.5, [0.25])), (12,))
    assert {name: round(float(value), 4) for name, value in words.items()} == {"scale": 0.5, "shift_x_pixels": 1.5}


def test_volume_is_shown_as_the_sum_over_its_depth():
    volume = torch.rand(2, 1, 3, 5, 6) / 3
    assert torch.equal(shown(volume), volume.sum(2))


def test_curve_is_high_where_the_signal_is():
    signal = torch.tensor([[[0.0, 0.0, 1.0, 1.0]]])
    (curve,) = shown(signal)[0]
    assert curve[-1, 0] == curve[0, -1] == 1
    assert curve[0, 0] == curve[-1, -1] == 0
    assert (curve.sum(0) > 0).all()  # no gap, at the jump neither


def test_flat_signal_has_a_curve():
    assert shown(torch.ones(1, 1, 5)).sum() > 0


def columns_of(picture):
    return (picture[0] > 128).any(0).nonzero().flatten()


def test_outline_of_a_window_of_a_line_stands_at_its_ends():
    dark = cells(torch.zeros(1, 1, 4, 4), 100)
    (drawn,) = outlined(dark, windows(LINE, 0.5, [0.0]), width=2)
    orange = columns_of(drawn)
    assert abs(int(orange.min()) - 25) <= 2
    assert abs(int(orange.max()) - 74) <= 2


def test_outline_of_a_volume_is_that_of_its_middle_slice():
    grid = windows(SPACE, 0.5, [0.25, 0.0, 0.9])[0]
    torch.testing.assert_close(in_the_plane(grid), grid[4, :, :, :2])
    (drawn,) = outlined(cells(torch.zeros(1, 1, 4, 4), 100), grid[None], width=2)
    orange = columns_of(drawn)
    assert abs(int(orange.min()) - 37) <= 2
    assert abs(int(orange.max()) - 87) <= 2


@pytest.mark.parametrize(("transform", "scale"), [(LINE, 0.5), (SPACE, 0.5)], ids=["1d", "3d"])
def test_cells_of_a_window_are_powers_of_its_scale(transform, scale):
    areas = cell_areas(windows(transform, scale, [0.1] * transform.ndim))
    torch.testing.assert_close(areas, torch.full_like(areas, scale**transform.ndim))
    cost = Area(least=0.6).of_grid(windows(transform, scale, [0.1] * transform.ndim))
    torch.testing.assert_close(cost, cost.new_full((1,), 0.6 - scale**transform.ndim))


@pytest.mark.parametrize("transform", [LINE, SPACE], ids=["1d", "3d"])
def test_penalties_of_a_shifted_window(transform):
    n = transform.ndim
    grid = windows(transform, 1.0, [0.5] + [0.0] * (n - 1))
    torch.testing.assert_close(Identity().of_grid(grid), grid.new_full((1,), 0.25))
    expected = (grid.abs() - 1).clamp(min=0).mean().view(1)
    assert expected > 0
    torch.testing.assert_close(Outside().of_grid(grid), expected)
    torch.testing.assert_close(overlap(grid, grid), grid.new_ones(1))
    far = windows(transform, 1.0, [2.5] + [0.0] * (n - 1))
    assert overlap(grid, far) == 0
