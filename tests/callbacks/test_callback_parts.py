"""TensorBoard's picture of parallel transformers: windows, parts and legend in the same colours."""

import numpy as np
import pytest
import torch
from PIL import Image

from stn_lightning.callbacks import HardSamples, WarpPictures, warp_pictures
from stn_lightning.data import Birds
from stn_lightning.spatial_transformer import Warped
from stn_lightning.tasks import PartsClassification
from stn_lightning.transforms import Affine, Translation

SIDE, GAP, LEGEND, LINE = 84, 4, 14, 2
CELL, INSIDE = SIDE + GAP, SIDE - 2 * LINE
CLIPPED = 6  # Pillow also rounds and clips between rows and columns
CORNERS = ((3, 8), (29, 0), (0, 32), (32, 30))  # left and top of windows of 32 pixels in an image of 64, none at another's


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    root = str(tmp_path_factory.mktemp("birds"))
    counts = {"classes": 2, "images_per_class": (8, 4), "num_validation": 6, "batch_size": 4}
    return Birds(root=root, size=64, num_workers=0, **counts)


@pytest.fixture
def finder(birds, placed):
    """A task of parallel transformers with a window at each corner; whatever it sees is of class 0."""

    def finder(corners, **options):
        torch.manual_seed(0)
        task = PartsClassification((3, 64, 64), 2, len(corners), initial=placed(corners), **options)
        task.standardise.take_from(birds)
        torch.nn.init.zeros_(task.network.classifier.weight)
        task.network.classifier.bias.data = torch.tensor([1.0, 0.0])
        return task

    return finder


def cell(picture, row, column):
    top, left = row * CELL + GAP // 2, column * CELL + GAP // 2
    return picture[top : top + SIDE, left : left + SIDE]


def box(cell, colour):
    """Left, top, right and bottom of what has a colour."""
    y, x = (cell == colour).all(-1).nonzero()
    return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])


def resized(image, side):
    """As Pillow does it: the same kernel in integers."""
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC)).astype(int)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_one_picture_has_the_image_its_windows_and_a_row_of_each_part(
    birds, finder, count, trainer, pictures, colours_of_legend
):
    corners = CORNERS[:count]
    trainer(WarpPictures(num_images=3), HardSamples(num_images=2)).validate(finder(corners), birds, verbose=False)
    found = pictures()
    assert set(found) == {"warp/input", "hardest/input", "wrong/input"}
    picture = found["warp/input"]
    assert picture.shape == ((2 + count) * CELL + LEGEND, 3 * CELL, 3)
    colours = colours_of_legend(picture[-LEGEND:])
    assert len(colours) == count
    images = birds.on_after_batch_transfer(next(iter(birds.val_dataloader())), 0).image
    for column in range(3):
        image = Image.fromarray((images[column] * 255).round().byte().permute(1, 2, 0).numpy())
        assert np.abs(cell(picture, 0, column) - resized(image, SIDE)).max() <= CLIPPED
        for (x, y), colour in zip(corners, colours, strict=True):
            if (x, y) == CORNERS[1] and count > 2:
                continue  # the last window hides some of it
            window = np.array([x, y, x + 32, y + 32]) * SIDE / 64
            assert np.abs(box(cell(picture, 1, column), colour) - window).max() <= 1.5
        for k, ((x, y), colour) in enumerate(zip(corners, colours, strict=True)):
            part = cell(picture, 2 + k, column)
            frame = np.ones((SIDE, SIDE), bool)
            frame[LINE:-LINE, LINE:-LINE] = False
            assert (part[frame] == colour).all()
            expected = resized(image.crop((x, y, x + 32, y + 32)), INSIDE)
            assert np.abs(part[LINE:-LINE, LINE:-LINE] - expected).max() <= CLIPPED
    for title in ("hardest", "wrong"):
        assert colours_of_legend(found[f"{title}/input"][-LEGEND:]) == colours
        assert found[f"{title}/input"].shape == (2 * LEGEND + (2 + count) * CELL + LEGEND, 2 * CELL, 3)


def windows(*corners, channels=3, size=32, align_corners=False):
    thetas = [torch.tensor([[2 * (x + 16) / 64 - 1, 2 * (y + 16) / 64 - 1]]) for x, y in corners]
    grids = [Translation(scale=0.5).grid(theta, (size, size), align_corners) for theta in thetas]
    parts = [Warped(torch.full((1, channels, size, size), 9.0), t, g) for t, g in zip(thetas, grids, strict=True)]
    return {f"input.{k}": part for k, part in enumerate(parts, 1)}


def test_neighbouring_windows_have_their_lines_side_by_side():
    """Windows that tile the image, as at the start: every colour stands along all four sides of its own."""
    corners = [(0, 0), (32, 0), (0, 32), (32, 32)]
    picture = warp_pictures(torch.full((1, 3, 64, 64), 0.5), windows(*corners))["input"].permute(1, 2, 0).numpy()
    drawn, half = cell(picture, 1, 0), SIDE // 2
    for k, (x, y) in enumerate([(0, 0), (half, 0), (0, half), (half, half)]):
        (colour,) = {tuple(p) for p in cell(picture, 2 + k, 0)[0]}
        window = drawn[y : y + half, x : x + half]
        for side in (window[0], window[-1], window[:, 0], window[:, -1]):
            assert (np.abs(side.astype(int) - colour).max(-1) < 60).mean() > 0.9
        assert (drawn == colour).all(-1).sum() < 4 * LINE * half


@pytest.mark.parametrize("count", range(2, 9))
def test_up_to_eight_colours_differ(count):
    """By at least 85 of 255 in some channel, any two of them; the first four by twice as much."""
    picture = warp_pictures(torch.zeros(1, 1, 64, 64), windows(*[(k, k) for k in range(count)], channels=1))["input"]
    frames = [cell(picture.permute(1, 2, 0).int().numpy(), 2 + k, 0)[0, 0] for k in range(count)]
    apart = [np.abs(a - b).max() for i, a in enumerate(frames) for b in frames[:i]]
    assert min(apart) >= (85 if count > 4 else 170)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_dull_image_keeps_its_colour_whatever_the_network_made_of_it(channels):
    """Grey of 0.6, standardised, is 0.5: a value that an image could have."""
    warps = windows((7, 9), channels=channels)
    for output in (0.5, 0.0, -3.0, torch.nan):
        given = {name: warped._replace(output=torch.full_like(warped.output, output)) for name, warped in warps.items()}
        picture = warp_pictures(torch.full((1, channels, 64, 64), 0.6), given)["input"].permute(1, 2, 0).numpy()
        assert (cell(picture, 2, 0)[LINE:-LINE, LINE:-LINE] == 153).all()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 1e30])
def test_a_window_without_numbers_leaves_the_others_alone(bad):
    warps, images = windows((0, 0), (32, 32)), torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    clean = warp_pictures(images, warps)["input"]
    spoiled = warp_pictures(images, warps | {"input.1": warps["input.1"]._replace(grid=torch.full((1, 32, 32, 2), bad))})[
        "input"
    ]
    assert torch.equal(spoiled[:, 3 * CELL :], clean[:, 3 * CELL :])
    assert torch.equal(spoiled[:, :CELL], clean[:, :CELL])
    assert (spoiled[:, 2 * CELL + 4 : 3 * CELL - 4, 4:-4] == 0).all()


def test_turned_windows_are_drawn_where_they_look(window):
    """By 45 degrees, at half size: a square on its corner; nothing of the line lies outside it."""
    theta = torch.tensor([window(45, 0.5)])
    warps = {"input.1": Warped(torch.zeros(1, 1, 32, 32), theta, Affine().grid(theta, (32, 32)))}
    picture = warp_pictures(torch.full((1, 1, 64, 64), 0.5), warps)["input"].permute(1, 2, 0).numpy()
    colour = cell(picture, 2, 0)[0, 0]
    y, x = (cell(picture, 1, 0) == colour).all(-1).nonzero()
    reach = np.abs(x - (SIDE - 1) / 2) + np.abs(y - (SIDE - 1) / 2)
    outline = SIDE / 2 * 2**0.5 / 2
    assert outline - 2 * LINE * 2**0.5 < reach.min() <= reach.max() < outline + 1


@pytest.mark.parametrize("side", [1, 2, 5, 17])
def test_cells_can_be_as_small_as_may_be(side):
    picture = warp_pictures(torch.rand(1, 1, 64, 64), windows((0, 0), (32, 32), channels=1), side)["input"]
    assert picture.shape[1] >= 4 * (side + GAP)


def test_plain_row_can_be_left_out():
    warps, images = windows((0, 0), (32, 32)), torch.rand(1, 3, 64, 64)
    whole, cut = (warp_pictures(images, warps, plain_row=plain)["input"] for plain in (True, False))
    assert torch.equal(whole[:, CELL:], cut)


def test_align_corners_of_the_task_is_heeded(birds, trainer, pictures, placed):
    """The same pixels under either setting."""
    seen = []
    for align_corners in (False, True):
        task = PartsClassification(
            (3, 64, 64),
            2,
            2,
            Translation(scale=31 / 63 if align_corners else 0.5),
            initial=placed(CORNERS[:2], align_corners),
            align_corners=align_corners,
        )
        trainer(WarpPictures(num_images=3)).validate(task, birds, verbose=False)
        seen.append(pictures()["warp/input"].astype(int))
    assert np.abs(seen[0] - seen[1]).max() <= 1


def test_long_names_of_classes_stand_in_two_lines(birds, trainer, pictures, finder):
    """What it is, and below what it is taken for, each with letters of its own."""
    trainer(HardSamples(num_images=2)).validate(finder(CORNERS[:1]), birds, verbose=False)
    heading = pictures()["hardest/input"][: 2 * LEGEND]
    assert (heading[:LEGEND] < 128).any()
    assert (heading[LEGEND:] < 128).any()
