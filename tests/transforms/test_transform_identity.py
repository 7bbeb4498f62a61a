"""theta = identity() gives the regular grid exactly, and through a sampler the image itself."""

import pytest
import torch
import torch.nn.functional as F

from stn_lightning.geometry import regular_points
from stn_lightning.samplers import registry as samplers
from stn_lightning.transforms import registry

both = pytest.mark.parametrize("align_corners", [False, True])
precisions = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


@both
@precisions
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (7, 1), (5, 5), (6, 9), (3, 448)], ids=str)
def test_grid_of_the_identity_is_the_regular_grid(transform, size, dtype, align_corners):
    grid = transform.grid(transform.identity().to(dtype).expand(2, -1), size, align_corners)
    regular = regular_points(size, align_corners).to(dtype).view(1, *size, 2).expand(2, -1, -1, -1)
    assert grid.dtype == dtype
    assert torch.equal(grid, regular)


@both
@precisions
@pytest.mark.parametrize("sampler", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(1, 1), (5, 8), (31, 64), (2, 448)], ids=str)
def test_image_under_the_identity_is_the_image(transform, size, sampler, dtype, align_corners):
    image = torch.randn(2, 2, *size, dtype=dtype).sign()  # range 2, as steep as an image of that range can be
    grid = transform.grid(transform.identity().to(dtype).expand(2, -1), size, align_corners)
    warped = samplers[sampler]()(image, grid, align_corners)
    if sampler == "nearest":
        assert torch.equal(warped, image)
    else:
        # a float32 coordinate of magnitude 1 is off by 1e-7 * size / 2 pixels
        tolerance = 1e-6 if dtype == torch.float64 else 2 * 2e-7 * max(size)
        assert (warped - image).abs().max() <= tolerance


@both
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(9, 4), (5, 12)], ids=str)
def test_identity_at_another_size_resizes(transform, size, mode, align_corners):
    image = torch.randn(1, 2, 6, 7, dtype=torch.float64)
    grid = transform.grid(transform.identity().double()[None], size, align_corners)
    warped = samplers[mode](padding_mode="border")(image, grid, align_corners)
    expected = F.interpolate(image, size, mode=mode, align_corners=align_corners)
    torch.testing.assert_close(warped, expected, rtol=0, atol=1e-12)


def test_identity_and_initial_are_float32_thetas(transform):
    for theta in (transform.identity(), transform.initial()):
        assert theta.shape == (transform.num_params,)
        assert theta.dtype == torch.float32
    assert torch.equal(transform.identity(), transform.initial())
    assert transform.has_identity


@both
def test_window_of_fixed_scale_has_no_identity(align_corners):
    window = registry["translation"](scale=0.5)
    assert not window.has_identity
    grid = window.grid(torch.tensor([[0.25, -0.5]]), (4, 6), align_corners)
    expected = 0.5 * regular_points((4, 6), align_corners) + torch.tensor([0.25, -0.5])
    torch.testing.assert_close(grid, expected.float().view(1, 4, 6, 2), rtol=0, atol=1e-7)
