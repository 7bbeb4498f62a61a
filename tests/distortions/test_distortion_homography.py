"""The homographies of inverse compositional STNs: where corners go, and what is seen through them."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.transform import ProjectiveTransform

from stn_lightning.distortions import RandomHomography, recipe

SIZE = (20, 28)
CORNERS = np.array([[0, 0], [27, 0], [27, 19], [0, 19]], float)  # (x, y) of the centres of the corner pixels


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def moved_corners(distortion, batch):
    """(B, 4, 2) where in the source the corners of the target look, in pixels."""
    matrix = distortion.extend(torch.eye(3, dtype=torch.float64).expand(batch, -1, -1), SIZE, SIZE, generator())
    centre = np.array([13.5, 9.5])
    seen = np.concatenate([CORNERS - centre, np.ones((4, 1))], 1) @ matrix.numpy().transpose(0, 2, 1)
    return seen[..., :2] / seen[..., 2:] + centre


def test_corners_move_by_a_normal_distance_of_their_own_and_one_in_common():
    moves = (moved_corners(RandomHomography(0.1, 0.2), 20_000) - CORNERS) / [13.5, 9.5]
    assert np.abs(moves.mean(0)).max() < 0.007  # 4 standard errors
    covariance = np.cov(moves.transpose(0, 2, 1).reshape(len(moves), 8).T)
    expected = np.kron(np.eye(2), 0.1**2 * np.eye(4) + 0.2**2)
    np.testing.assert_allclose(covariance, expected, atol=4 * 0.05 * np.sqrt(2 / 20_000))


def test_image_is_scipys_through_skimages_homography_of_the_corners():
    images = torch.rand(4, 1, *SIZE, generator=generator(3), dtype=torch.float64)
    targets = np.stack(np.meshgrid(np.arange(28), np.arange(20)), axis=-1).reshape(-1, 2)
    got = RandomHomography()(images, generator())
    for image, result, corners in zip(images[:, 0], got[:, 0], moved_corners(RandomHomography(), 4), strict=True):
        column, row = ProjectiveTransform.from_estimate(CORNERS, corners)(targets).T.reshape(2, *SIZE)
        expected = ndimage.map_coordinates(image.numpy(), [row, column], order=1, mode="grid-constant")
        np.testing.assert_allclose(result, expected, atol=1e-9)


def test_set_is_finite_has_its_size_and_follows_its_generator():
    images = torch.rand(3000, 1, 28, 28, generator=generator())
    one = recipe("IC")(images, generator(1))
    assert one.shape == images.shape
    assert torch.isfinite(one).all()
    assert torch.equal(one, recipe("IC")(images, generator(1)))
    assert not torch.equal(one, recipe("IC")(images, generator(2)))


@pytest.mark.parametrize("distances", [(-1.0, 0.0), (0.0, -1.0), (float("nan"), 0.0)])
def test_distances_below_zero_are_refused(distances):
    with pytest.raises(ValueError, match="std and shift of at least 0, got std="):
        RandomHomography(*distances)
