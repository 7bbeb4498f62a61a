"""The sets P, E and TC: perspective, elastic and clutter."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from stn_lightning.distortions import (
    Compose,
    RandomClutter,
    RandomElastic,
    RandomPerspective,
    RandomRotation,
    RandomScale,
    recipe,
)

CORNERS = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def ramps(batch, size):
    """Two channels whose values are their x and y in pixels: sampled bilinearly, they tell where one looked."""
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in size), indexing="ij")
    return torch.stack([x, y]).expand(batch, -1, -1, -1)


def matrices(distortion, batch, size):
    eye = torch.eye(3, dtype=torch.float64).expand(batch, -1, -1)
    return distortion.extend(eye, size, distortion.output_size(size), generator())


def test_perspective_moves_each_corner_by_a_normal_distance():
    size = (20, 28)
    to_source = matrices(RandomPerspective(1.0), 4000, size)
    corners = torch.cat([CORNERS * torch.tensor([14.0, 10.0]), torch.ones(4, 1)], 1).double()
    moved = corners @ torch.linalg.inv(to_source).mT
    moves = moved[..., :2] / moved[..., 2:] - corners[:, :2]
    assert moves.mean(0).abs().max() < 0.07  # 4 standard errors
    assert (moves.std(0) - 1).abs().max() < 0.05
    assert torch.corrcoef(moves.flatten(1).T).fill_diagonal_(0).abs().max() < 0.08


def test_perspective_is_scipys_of_the_same_matrices():
    size = (20, 28)
    images = torch.rand(4, 1, *size, generator=generator(3), dtype=torch.float64)
    to_source = matrices(RandomPerspective(2.0), 4, size).numpy()
    y, x = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in size), indexing="ij")
    got = RandomPerspective(2.0)(images, generator())
    for image, matrix, result in zip(images[:, 0].numpy(), to_source, got[:, 0].numpy(), strict=True):
        source = matrix @ np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
        row, column = (source[1] / source[2] + 9.5).reshape(size), (source[0] / source[2] + 13.5).reshape(size)
        expected = ndimage.map_coordinates(image, [row, column], order=1, mode="grid-constant")
        np.testing.assert_allclose(result, expected, atol=1e-9)


def test_elastic_moves_its_control_points_by_a_normal_distance():
    """The middle one of 3x3 lies on the middle pixel, which looks where it went."""
    looked = RandomElastic(1.5, grid_size=3)(ramps(4000, (31, 41)), generator())[:, :, 15, 20]
    moves = looked - torch.tensor([20.0, 15.0])
    assert moves.mean(0).abs().max() < 0.1
    assert (moves.std(0) - 1.5).abs().max() < 0.07
    assert abs(torch.corrcoef(moves.T)[0, 1]) < 0.07


def test_affine_before_elastic_is_sampled_once():
    """On ramps two samplings are as good as one, so that the order shows: first the affine one, then the elastic one."""
    images = ramps(3, (41, 41))
    together = Compose([RandomRotation(20.0), RandomScale(1.5, 1.6), RandomElastic(0.5)])(images, generator(2))
    random = generator(2)
    in_turn = Compose([RandomRotation(20.0), RandomScale(1.5, 1.6)])(images, random)
    in_turn = RandomElastic(0.5)(in_turn, random)
    torch.testing.assert_close(together[..., 5:-5, 5:-5], in_turn[..., 5:-5, 5:-5], atol=1e-9, rtol=0)


@pytest.mark.parametrize("distortion", [RandomPerspective(0.0), RandomElastic(0.0)])
def test_no_move_is_the_identity(distortion):
    images = torch.rand(3, 1, 28, 28, generator=generator())
    torch.testing.assert_close(distortion(images, generator()), images, atol=2e-7 * 28, rtol=0)


def test_clutter_is_the_digit_and_patches_of_others():
    images = torch.zeros(8, 1, 28, 28)
    images[:, :, 4:24, 4:24] = torch.arange(1, 9).view(-1, 1, 1, 1) / 100
    for number, canvas in enumerate(RandomClutter(60, patches=6, side=6)(images, generator())):
        own = RandomClutter(60, patches=0)(images, generator())[number]
        assert canvas.shape == own.shape == (1, 60, 60)
        assert own.count_nonzero() == 400
        assert torch.equal(own.unique(), torch.tensor([0, (number + 1) / 100]))
    patches = RandomClutter(60, patches=1, side=6)(images[:2] * torch.tensor([0.0, 1.0]).view(2, 1, 1, 1), generator())
    assert 0 < patches[0].count_nonzero() <= 36
    assert patches[0].max() == images[1].max()


def test_clutter_places_the_digit_anywhere_and_whole():
    images = torch.ones(500, 1, 28, 28)
    canvas = RandomClutter(60, patches=0)(images, generator())
    assert (canvas.sum((1, 2, 3)) == 28 * 28).all()
    left = (canvas.amax((1, 2)) > 0).float().argmax(1)
    top = (canvas.amax((1, 3)) > 0).float().argmax(1)
    for corner in (left, top):
        assert (corner.min(), corner.max()) == (0, 32)
        assert set(corner.tolist()) == set(range(33))


def test_clutter_is_clamped():
    assert RandomClutter(30, patches=40, side=8)(torch.ones(3, 1, 28, 28), generator()).max() == 1


@pytest.mark.parametrize(("name", "side"), [("P", 28), ("E", 28), ("TC", 60)])
def test_set_is_finite_has_its_size_and_follows_its_generator(name, side):
    images = torch.rand(3000, 1, 28, 28, generator=generator())
    one = recipe(name)(images, generator(1))
    assert one.shape == (3000, 1, side, side)
    assert recipe(name).output_size((28, 28)) == (side, side)
    assert torch.isfinite(one).all()
    assert one.min() >= 0
    assert one.max() <= 1 + 1e-6
    assert torch.equal(one, recipe(name)(images, generator(1)))
    assert not torch.equal(one, recipe(name)(images, generator(2)))


@pytest.mark.parametrize("name", ["R", "RTS", "P", "E", "TC"])
def test_one_image_is_a_batch_of_one(name):
    image = torch.rand(1, 28, 28, generator=generator())
    assert torch.equal(recipe(name)(image, generator()), recipe(name)(image[None], generator())[0])


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: RandomPerspective(-1.0), "std of at least 0 pixels, got -1"),
        (lambda: RandomElastic(float("nan")), "std of at least 0 pixels"),
        (lambda: RandomElastic(1.0, grid_size=1), "grid_size of at least 2"),
        (lambda: RandomClutter(60, patches=-1), "patches of at least 0"),
        (lambda: RandomClutter(5, side=6), "side <= size"),
        (lambda: RandomClutter(20)(torch.rand(2, 1, 28, 28)), "images of 6 to 20 pixels a side, got 28x28"),
        (lambda: RandomClutter(20)(torch.rand(2, 1, 4, 20)), "got 4x20"),
        (lambda: RandomPerspective()(torch.rand(28, 28)), "expected floating-point images"),
    ],
)
def test_arguments_out_of_range(build, text):
    with pytest.raises(ValueError, match=text):
        build()
