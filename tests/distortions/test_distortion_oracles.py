"""P, E and TC against OpenCV, scipy and the images they are made of."""

import cv2
import numpy as np
import pytest
import torch
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import map_coordinates

from stn_lightning.distortions import Compose, RandomClutter, RandomElastic, RandomPerspective, RandomScale, recipe
from stn_lightning.distortions._perspective import adjugate, homography

SIDE = 28


@pytest.fixture
def images():
    return torch.rand(6, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_homography_is_that_of_opencv():
    corners = torch.tensor([[[0.0, 0], [1, 0], [1, 1], [0, 1]]]) * 20 + torch.randn(50, 4, 2, generator=generator())
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    for ours, four in zip(homography(corners.double()), corners.numpy(), strict=True):
        np.testing.assert_allclose(ours.numpy(), cv2.getPerspectiveTransform(square, four), rtol=1e-6, atol=1e-6)


def test_adjugate_is_the_inverse_up_to_scale():
    matrix = torch.randn(20, 3, 3, generator=generator(), dtype=torch.float64)
    product = adjugate(matrix) @ matrix
    torch.testing.assert_close(product, torch.linalg.det(matrix)[:, None, None] * torch.eye(3, dtype=torch.float64))


def test_perspective_moves_the_corners_as_drawn_and_warps_as_opencv_does(images):
    """The corners of the image, at its outer edges, go where they are drawn to; between them OpenCV judges."""
    warped = RandomPerspective(2.0)(images, generator(3))
    moves = 2.0 * torch.randn((6, 4, 2), generator=generator(3), dtype=torch.float64)
    corners = np.array([[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE]], np.float64) - 0.5  # OpenCV: centres are integers
    for image, ours, move in zip(images[:, 0], warped[:, 0], moves, strict=True):
        matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), (corners + move.numpy()).astype(np.float32))
        theirs = cv2.warpPerspective(image.float().numpy(), matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-4)  # OpenCV computes in float32


def test_elastic_after_scale_is_one_warp_through_scipys_spline(images):
    warped = Compose([RandomScale(0.75, 1.0), RandomElastic(1.5)])(images, generator(5))
    draws = generator(5)
    scale = 0.75 + 0.25 * torch.rand(6, generator=draws, dtype=torch.float64)
    moves = 1.5 * torch.randn((6, 16, 2), generator=draws, dtype=torch.float64)
    line = torch.linspace(-SIDE / 2, SIDE / 2, 4, dtype=torch.float32).double()
    lattice = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).view(-1, 2)
    pixels = np.stack(np.meshgrid(np.arange(SIDE) - 13.5, np.arange(SIDE) - 13.5), -1).reshape(-1, 2)
    for i in range(6):
        spline = RBFInterpolator(lattice.numpy(), (lattice + moves[i]).numpy(), kernel="thin_plate_spline", degree=1)
        x, y = (spline(pixels) / scale[i].item() + 13.5).T
        theirs = map_coordinates(images[i, 0].numpy(), [y, x], order=1, mode="grid-constant").reshape(SIDE, SIDE)
        np.testing.assert_allclose(warped[i, 0].numpy(), theirs, atol=1e-6)  # the lattice is float32


def test_elastic_without_moves_and_perspective_without_moves_change_nothing(images):
    for distortion in (RandomElastic(0.0), RandomPerspective(0.0)):
        torch.testing.assert_close(distortion(images, generator()), images, atol=1e-12, rtol=0)


def test_clutter_keeps_each_image_whole_and_adds_patches_of_others():
    """Every image has a grey value of its own, so that a pixel tells whose it is."""
    values = torch.tensor([0.1, 0.2, 0.3, 0.4])
    images = values.view(4, 1, 1, 1).expand(-1, 1, SIDE, SIDE).clone()
    out = RandomClutter(60, patches=6, side=6)(images, generator(2))
    assert out.shape == (4, 1, 60, 60)
    for i, canvas in enumerate(out[:, 0]):
        own = canvas >= values[i] - 1e-6
        total = float(canvas.sum()) - SIDE * SIDE * float(values[i])
        foreign = [float(v) * 36 for j, v in enumerate(values) if j != i]
        assert own.sum() >= SIDE * SIDE
        # what is added is six whole patches, each of another image
        assert any(
            abs(total - sum(counts[k] * foreign[k] for k in range(3))) < 1e-3
            for counts in ((a, b, 6 - a - b) for a in range(7) for b in range(7 - a))
        )


def test_clutter_is_clamped_to_one_and_stays_inside():
    out = RandomClutter(30, patches=40)(torch.ones(3, 1, SIDE, SIDE), generator())
    assert out.max() == 1
    assert out.min() >= 0


def test_clutter_without_patches_is_a_placement_on_whole_pixels(images):
    out = RandomClutter(60, patches=0)(images, generator(4))
    for image, canvas in zip(images[:, 0], out[:, 0], strict=True):
        rows, columns = canvas.nonzero().T
        top, left = int(rows.min()), int(columns.min())
        torch.testing.assert_close(canvas[top : top + SIDE, left : left + SIDE], image, atol=0, rtol=0)
        assert float(canvas.sum()) == pytest.approx(float(image.sum()))


@pytest.mark.parametrize(("name", "size"), [("none", 28), ("R", 28), ("RTS", 42), ("P", 28), ("E", 28), ("TC", 60)])
def test_a_set_takes_one_image_as_torchvisions_transforms_do(name, size, images):
    distortion = recipe(name)
    assert distortion(images[0].float()).shape == (1, size, size)
    assert distortion(images.float()).shape == (6, 1, size, size)
    assert distortion.output_size((SIDE, SIDE)) == (size, size)


@pytest.mark.parametrize("bad", [torch.zeros(28, 28), torch.zeros(2, 1, 28, 28, dtype=torch.uint8)])
def test_what_is_no_batch_of_floating_images_is_refused(bad):
    with pytest.raises(ValueError, match=r"expected floating-point images.*got"):
        recipe("P")(bad)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomPerspective(-1.0),
        lambda: RandomElastic(float("nan")),
        lambda: RandomClutter(5, side=6),
        lambda: RandomClutter(20)(torch.zeros(1, 1, 28, 28)),
    ],
)
def test_ranges_are_checked(make):
    with pytest.raises(ValueError, match=r"expected .*got"):
        make()
