"""Distortions against scipy's interpolation of the same matrix, and the ranges that they promise."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from stn_lightning.distortions import Compose, RandomPlacement, RandomRotation, RandomScale, recipe

B = 200


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(distortions, source, seed=0, batch=B):
    """(B, 3, 3) target to source, in pixels from the centre, of distortions in a row; and the size of the last target."""
    matrix, target, random = torch.eye(3).expand(batch, -1, -1), source, generator(seed)
    for distortion in distortions:
        target = distortion.output_size(target)
        matrix = distortion.extend(matrix, source, target, random)
    return matrix, target


def warped(image, matrix, size):
    """scipy's bilinear interpolation with zeros around."""
    source, target = np.array(image.shape), np.array(size)
    linear, shift = matrix[:2, :2].double().numpy()[::-1, ::-1], matrix[:2, 2].double().numpy()[::-1]  # (y, x)
    offset = shift + (source - 1) / 2 - linear @ ((target - 1) / 2)
    return ndimage.affine_transform(image.double().numpy(), linear, offset, tuple(size), order=1, mode="grid-constant")


@pytest.fixture
def images():
    return torch.rand(6, 1, 11, 14, generator=generator(9))


CASES = {
    "rotation": [RandomRotation(70.0)],
    "scale": [RandomScale(0.6, 1.5)],
    "placement": [RandomPlacement(20)],
    "small-canvas": [RandomPlacement(9)],
    "RTS": [RandomRotation(45.0), RandomScale(0.7, 1.2), RandomPlacement(24)],
    "placement-first": [RandomPlacement(17), RandomRotation(90.0), RandomScale(0.5, 0.9)],
}


@pytest.mark.parametrize("case", CASES)
def test_distortion_is_scipys_of_the_same_matrices(case, images):
    """A chain is the product of its matrices, and is sampled once."""
    distortions = CASES[case]
    matrices, size = drawn(distortions, (11, 14), batch=6)
    got = Compose(distortions)(images, generator())
    assert got.shape == (6, 1, *size)
    expected = np.stack([warped(image[0], matrix, size) for image, matrix in zip(images, matrices, strict=True)])
    np.testing.assert_allclose(got[:, 0].numpy(), expected, atol=2e-4)


@pytest.mark.parametrize("case", ["rotation", "scale", "placement"])
def test_one_distortion_alone_is_a_chain_of_one(case, images):
    (distortion,) = CASES[case]
    assert torch.equal(distortion(images, generator()), Compose([distortion])(images, generator()))


def test_rotation_stays_in_its_range_and_fills_it():
    matrix, size = drawn([RandomRotation(30.0)], (28, 28), batch=2000)
    angles = torch.rad2deg(torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0]))
    assert size == (28, 28)
    torch.testing.assert_close(matrix[:, :2, :2] @ matrix[:, :2, :2].mT, torch.eye(2).expand(2000, 2, 2))
    torch.testing.assert_close(matrix[:, :2, 2], torch.zeros(2000, 2))
    assert angles.abs().max() <= 30.001
    assert angles.min() < -29
    assert angles.max() > 29
    assert abs(angles.mean()) < 1.5  # 4 standard errors
    assert abs(angles.std() - 60 / math.sqrt(12)) < 1


def test_scale_stays_in_its_range_and_fills_it():
    """The drawn scale is of the content: 0.7 makes a digit smaller."""
    matrix, size = drawn([RandomScale(0.7, 1.2)], (28, 28), batch=2000)
    scale = 1 / matrix[:, 0, 0]
    assert size == (28, 28)
    torch.testing.assert_close(matrix, torch.diag_embed(torch.stack([1 / scale, 1 / scale, torch.ones(2000)], 1)))
    assert scale.min() >= 0.6999
    assert scale.max() <= 1.2001
    assert scale.min() < 0.71
    assert scale.max() > 1.19
    assert abs(scale.mean() - 0.95) < 0.02


def test_scale_below_one_shrinks_the_content():
    image = torch.zeros(1, 1, 40, 40)
    image[..., 10:30, 10:30] = 1
    small = RandomScale(0.5, 0.5)(image, generator())
    assert torch.equal(small > 0.5, torch.nn.functional.pad(torch.ones(1, 1, 10, 10), (15, 15, 15, 15)) > 0.5)


@pytest.mark.parametrize("distortion", [RandomRotation(0.0), RandomScale(1.0, 1.0), RandomPlacement(15), Compose([])])
def test_nothing_to_do_is_the_identity(distortion):
    images = torch.rand(4, 2, 15, 15, generator=generator())
    torch.testing.assert_close(distortion(images, generator()), images, atol=2e-7 * 15, rtol=0)


def test_placement_stays_in_the_canvas_and_reaches_its_corners():
    matrix, size = drawn([RandomPlacement(42)], (28, 28), batch=2000)
    shift = -matrix[:, :2, 2]
    assert size == (42, 42)
    assert shift.abs().max() <= 7
    assert shift.amin(0).max() < -6.9
    assert shift.amax(0).min() > 6.9
    assert abs(shift.mean()) < 0.3
    assert abs(torch.corrcoef(shift.T)[0, 1]) < 0.1


def test_placement_of_a_scaled_image_knows_its_scale():
    matrix, _ = drawn([RandomScale(0.5, 0.5), RandomPlacement(42)], (28, 28), batch=2000)
    shift = -matrix[:, :2, 2] / 2  # a pixel of the target is two of the source
    assert 13.8 < shift.abs().max() <= 14.001


def test_image_larger_than_the_canvas_is_centred():
    matrix, size = drawn([RandomPlacement(20)], (28, 28))
    assert size == (20, 20)
    torch.testing.assert_close(matrix, torch.eye(3).expand(B, -1, -1))


def test_recipe_rts_cuts_no_ink():
    """A disc as wide as a digit keeps its area, times the square of its scale, wherever it is placed."""
    y, x = torch.meshgrid(torch.arange(28) - 13.5, torch.arange(28) - 13.5, indexing="ij")
    disc = ((x.square() + y.square()).sqrt() < 10).float().expand(B, 1, -1, -1)
    rts = recipe("RTS")
    matrix, size = drawn(rts.distortions, (28, 28))
    got = rts(disc, generator())
    assert size == rts.output_size((28, 28)) == tuple(got.shape[2:]) == (42, 42)
    scale = torch.linalg.det(matrix[:, :2, :2]).rsqrt()
    torch.testing.assert_close(got.sum((1, 2, 3)), scale.square() * disc[0].sum(), rtol=0.03, atol=0)


@pytest.mark.parametrize(("name", "degrees", "low", "high", "size"), [("R", 90, 1, 1, 28), ("RTS", 45, 0.7, 1.2, 42)])
def test_recipes_are_the_papers(name, degrees, low, high, size):
    distortion = recipe(name)
    chain = list(distortion.distortions) if isinstance(distortion, Compose) else [distortion]
    matrix, target = drawn(chain, (28, 28), batch=2000)
    scale = torch.linalg.det(matrix[:, :2, :2]).rsqrt()
    angle = torch.rad2deg(torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0]))
    assert target == (size, size)
    assert degrees - 2 < angle.abs().max() <= degrees + 0.01
    assert low - 1e-4 <= scale.min() <= low + 0.01
    assert high - 0.01 <= scale.max() <= high + 1e-4


def test_recipe_none_is_the_image():
    images = torch.rand(3, 1, 28, 28, generator=generator())
    assert torch.equal(recipe("none")(images, generator()), images)
