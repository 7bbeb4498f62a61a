"""The log-polar transform: by the conformance kit, against scikit-image, and by what rotation and scale do to it."""

import math
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.transform import SimilarityTransform, warp, warp_polar
from stn_lightning.cli import run
from stn_lightning.geometry import normalised_to_pixel, pixel_to_normalised
from stn_lightning.samplers import registry as samplers
from stn_lightning.testing import TransformChecks

from stn_polar import Polar

FOLDER = Path(__file__).parents[1]
both = pytest.mark.parametrize("align_corners", [False, True])


class TestPolar(TransformChecks):
    name = "polar"
    variants = ({}, {"inner_radius": 0.02, "outer_radius": 0.7}, {"aspect": 1.6})


def extent(size, align_corners=False):
    """(H, W) in pixels of what normalised coordinates span."""
    return tuple(n - align_corners for n in size)


def polar(size, inner, outer, align_corners=False):
    """The transform of radii in pixels, for an image of a size."""
    height, width = extent(size, align_corners)
    half_diagonal = math.hypot(height, width) / 2
    return Polar(inner / half_diagonal, outer / half_diagonal, width / height)


def theta_of(origin, size, align_corners=False):
    """(1, 2) of an origin (x, y) in pixels."""
    return pixel_to_normalised(torch.tensor([origin], dtype=torch.float64), size, align_corners)


def unrolled(image, transform, origin, size, align_corners=False):
    """An image (H, W) about an origin (x, y) in pixels."""
    grid = transform.grid(theta_of(origin, image.shape, align_corners), size, align_corners)
    return samplers["bilinear"]()(torch.from_numpy(image)[None, None], grid, align_corners)[0, 0].numpy()


@pytest.mark.parametrize("origin", [(8.0, 6.0), (3.3, 7.9), (-2.0, 5.0)], ids=["centre", "inside", "outside"])
@pytest.mark.parametrize("size", [(13, 17), (17, 13)], ids=str)
def test_warp_is_that_of_skimage(size, origin):
    """scikit-image begins at 1 pixel, and at the edge of the first pixel of the output: at its centre, at twice the size."""
    image, target = np.random.default_rng(0).standard_normal(size), (12, 9)
    ours = unrolled(image, polar(size, 1, 9.5), origin, target)
    doubled = warp_polar(image, origin[::-1], radius=9.5, output_shape=(24, 18), scaling="log", order=1, mode="constant")
    np.testing.assert_allclose(ours, doubled[1::2, 1::2], rtol=0, atol=1e-12)


def test_warp_with_align_corners_is_that_of_skimage_and_its_end():
    image, target, origin = np.random.default_rng(0).standard_normal((13, 17)), (12, 9), (3.3, 7.9)
    ours = unrolled(image, polar(image.shape, 1, 9.5, True), origin, target, True)
    expected = warp_polar(image, origin[::-1], radius=9.5, output_shape=(11, 8), scaling="log", order=1, mode="constant")
    np.testing.assert_allclose(ours[:-1, :-1], expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours[-1], ours[0], rtol=0, atol=1e-12)  # a full turn


def test_a_quarter_turn_is_a_shift_by_a_quarter_of_the_rows():
    """Exactly: numpy turns anticlockwise, and content moves towards smaller angles."""
    image = np.random.default_rng(0).standard_normal((14, 14))
    before, after = (unrolled(x, Polar(), (6.5, 6.5), (20, 9)) for x in (image, np.rot90(image).copy()))
    np.testing.assert_allclose(after, np.roll(before, -5, axis=0), rtol=0, atol=1e-12)


ORIGIN, SIZE, ROWS, COLUMNS, INNER, OUTER = (209.2, 127.3), (288, 384), 48, 32, 8.0, 104.0


@pytest.mark.parametrize(("down", "right"), [(7, 0), (-12, 0), (0, 4), (0, -6), (19, 3)])
def test_rotation_and_enlargement_about_the_origin_are_shifts(down, right):
    """Of an image that scikit-image has turned and enlarged; on one that is not square, about an origin off its centre."""
    image = gaussian_filter(np.random.default_rng(0).standard_normal(SIZE), 16)
    image /= image.std()
    angle, factor = 2 * math.pi * down / ROWS, (OUTER / INNER) ** (right / COLUMNS)
    there, back = SimilarityTransform(translation=np.negative(ORIGIN)), SimilarityTransform(translation=ORIGIN)
    turned = warp(image, (there + SimilarityTransform(scale=factor, rotation=angle) + back).inverse, order=3)

    transform = polar(SIZE, INNER, OUTER)
    before, after = (unrolled(x, transform, ORIGIN, (ROWS, COLUMNS)) for x in (image, turned))
    kept = slice(max(right, 0), COLUMNS + min(right, 0))  # what a shift along the radius moves in from outside is new
    shifted = np.roll(before, (down, right), axis=(0, 1))[:, kept]
    assert np.abs(after[:, kept] - shifted).max() < 0.005  # of standard deviation 1: bilinear, (1 / 16)^2
    assert np.abs(after - before).max() > 0.5


def test_rows_divide_the_circle_evenly_and_without_a_seam():
    x, y = Polar().grid(torch.zeros(1, 2, dtype=torch.float64), (7, 5))[0].unbind(-1)
    step = torch.complex(x, y).roll(-1, dims=0) / torch.complex(x, y)
    turn = 2 * math.pi / 7
    torch.testing.assert_close(step, torch.full_like(step, complex(math.cos(turn), math.sin(turn))), rtol=0, atol=1e-14)


def test_columns_divide_the_logarithm_of_the_radius_evenly():
    edges = torch.tensor([[-1.0, 0.3], [0.0, 0.3], [1.0, 0.3]], dtype=torch.float64)
    radii = Polar(0.02, 0.5).points(torch.zeros(1, 2, dtype=torch.float64), edges)[0].norm(dim=1) / math.sqrt(2)
    torch.testing.assert_close(radii, torch.tensor([0.02, 0.1, 0.5], dtype=torch.float64), rtol=0, atol=1e-15)


@both
@pytest.mark.parametrize("size", [(28, 28), (20, 50), (50, 20)], ids=str)
def test_circles_are_circles_of_pixels_and_radius_one_reaches_the_corners(size, align_corners):
    height, width = extent(size, align_corners)
    right_edge = torch.stack([torch.ones(9), torch.linspace(-1, 1, 9)], dim=1).double()
    circle = Polar(aspect=width / height).points(torch.zeros(1, 2, dtype=torch.float64), right_edge)[0]
    distance = (normalised_to_pixel(circle, size, align_corners) - (torch.tensor(size[::-1]) - 1) / 2).norm(dim=1)
    torch.testing.assert_close(distance, torch.full_like(distance, math.hypot(height, width) / 2), rtol=1e-14, atol=0)


def test_theta_moves_the_rays_as_they_are():
    theta = torch.tensor([[0.0, 0.0], [0.3, -0.7]], dtype=torch.float64)
    rays, moved = Polar(aspect=2).grid(theta, (6, 4))
    torch.testing.assert_close(moved - rays, theta[1].expand(6, 4, 2), rtol=0, atol=1e-15)


def test_it_starts_at_the_centre_and_has_no_identity():
    assert not Polar.has_identity
    assert Polar().initial().tolist() == [0, 0]


def test_descent_finds_the_origin():
    """From the centre, by the gradient of the pixels alone."""
    image = gaussian_filter(np.random.default_rng(0).standard_normal((40, 60)), 5)
    image, transform, origin = image / image.std(), polar(image.shape, 1, 18), (34.2, 16.1)
    target = torch.from_numpy(unrolled(image, transform, origin, (24, 16)))
    theta = transform.initial()[None].double().requires_grad_()
    optimizer = torch.optim.Adam([theta], lr=0.02)
    for _ in range(100):
        grid = transform.grid(theta, (24, 16))
        loss = (samplers["bilinear"]()(torch.from_numpy(image)[None, None], grid)[0, 0] - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = normalised_to_pixel(theta.detach(), image.shape)[0].tolist()
    assert found == pytest.approx(origin, abs=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inner_radius": 0.0}, "expected 0 < inner_radius < outer_radius.*inner_radius=0.0"),
        ({"inner_radius": 0.5, "outer_radius": 0.5}, "outer_radius=0.5"),
        ({"outer_radius": math.inf}, "outer_radius=inf"),
        ({"inner_radius": math.nan}, "inner_radius=nan"),
        ({"aspect": 0.0}, "expected a finite aspect above 0, got 0.0"),
        ({"aspect": math.inf}, "got inf"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Polar(**arguments)


@pytest.mark.parametrize("config", sorted((FOLDER / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_commands_of_the_config_train(config, tmp_path, monkeypatch):
    """As they stand in its comment, bracketed options left out and given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["stn"])
    (command,) = re.findall(r"^# +stn (.+)$", config.read_text(), re.MULTILINE)
    for words in (re.sub(r"\[.*?\]", "", command), re.sub(r"[\[\]]", "", command)):
        arguments = [str(FOLDER.parents[1] / word) if word.endswith(".yaml") else word for word in shlex.split(words)]
        run([*arguments, "--trainer.fast_dev_run=2", "--trainer.enable_progress_bar=false", "--seed_everything=false"])
