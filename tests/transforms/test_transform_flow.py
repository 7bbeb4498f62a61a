"""Fields of displacements against torch's ``interpolate`` and ``grid_sample``."""

import pytest
import torch
import torch.nn.functional as F

from stn_lightning.geometry import regular_points
from stn_lightning.transforms import registry

both = pytest.mark.parametrize("align_corners", [False, True], ids=["", "align_corners"])
SIZE = (5, 7)


@pytest.fixture
def flow():
    return registry["flow"](size=SIZE)


def field(batch=3):
    return torch.randn(batch, *SIZE, 2, dtype=torch.float64)


def test_at_its_own_size_every_pixel_has_its_own_displacement(flow):
    displacement = field()
    expected = regular_points(SIZE).view(*SIZE, 2) + displacement
    torch.testing.assert_close(flow.grid(displacement.flatten(1), SIZE), expected, rtol=0, atol=1e-14)
    assert flow.num_params == 70
    assert registry["flow"]().num_params == 128


@pytest.mark.parametrize("size", [(10, 14), (3, 20), (1, 1)], ids=str)
def test_at_another_size_it_is_interpolated(flow, size):
    displacement = field()
    expected = F.interpolate(displacement.movedim(-1, 1), size=size, mode="bilinear", align_corners=False).movedim(1, -1)
    grid = flow.grid(displacement.flatten(1), size) - regular_points(size).view(*size, 2)
    torch.testing.assert_close(grid, expected, rtol=0, atol=1e-13)


@both
def test_grid_and_points_read_the_same_field(flow, align_corners):
    """``grid_sample`` at the points, outside the frame too."""
    displacement, size = field(), (6, 9)
    theta = displacement.flatten(1)
    xy = torch.cat([regular_points(size, align_corners), 4 * torch.rand(50, 2, dtype=torch.float64) - 2])
    where = xy.expand(3, 1, -1, 2)
    read = F.grid_sample(displacement.movedim(-1, 1), where, padding_mode="border", align_corners=False)
    points = flow.points(theta, xy)
    torch.testing.assert_close(points, xy + read[:, :, 0].transpose(1, 2), rtol=0, atol=1e-13)
    grid = flow.grid(theta, size, align_corners).flatten(1, 2)
    torch.testing.assert_close(grid, points[:, : grid.shape[1]], rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", [0, (3, 0), (3,), (3, 3, 3), 2.5], ids=str)
def test_size_that_is_none_is_refused(size):
    with pytest.raises(ValueError, match="size: expected 2 positive integers"):
        registry["flow"](size=size)
