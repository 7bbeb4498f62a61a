"""Transformers in a row: each on the image that reaches it, and their product on the image."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stn_lightning.callbacks import HardSamples, WarpPictures, product_panel, warp_pictures
from stn_lightning.callbacks._in_a_row import half_pixel, has_align_corners, paths
from stn_lightning.networks import HouseNumberNet
from stn_lightning.spatial_transformer import Warped
from stn_lightning.tasks import SequenceRecognition
from stn_lightning.transforms import Affine

SIDE, GAP, LEGEND = 84, 4, 14
CELL = SIDE + GAP
ORANGE, BLUE, YELLOW = (torch.tensor(c) for c in ((255, 80, 40), (0, 190, 255), (255, 215, 0)))


def cell(picture, row, column, side=SIDE):
    top, left = row * (side + GAP) + GAP // 2, column * (side + GAP) + GAP // 2
    return picture[:, top : top + side, left : left + side]


def box(cell, colour):
    """Left, top, right and bottom of what is drawn in about a colour."""
    y, x = ((cell.float() - colour[:, None, None]).abs().amax(0) < 60).nonzero(as_tuple=True)
    return torch.stack([x.min(), y.min(), x.max(), y.max()]).float()


def windows(*thetas, sizes=((28, 28), (14, 14), (7, 7)), channels=4):
    grids = [Affine().grid(torch.tensor([theta]), size) for theta, size in zip(thetas, sizes, strict=False)]
    names = ["input", "conv1", "conv2"]
    maps = (torch.rand(1, channels, *grid.shape[1:3]) for grid in grids)
    return {n: Warped(m, torch.zeros(1, 6), g) for n, m, g in zip(names, maps, grids, strict=False)}


def test_outlines_are_those_of_the_products_and_each_has_its_colour(window):
    """Axis-aligned windows, so that a product is one of scales and shifts: worked out by hand, in [-1, 1] of the image."""
    warps = windows(window(scale=0.5), [0.5, 0, 0.25, 0, 0.8, 0], [0.5, 0, 0, 0, 0.5, 0.25])
    drawn = cell(warp_pictures(torch.full((1, 1, 28, 28), 0.1), warps)["product"], 1, 0)
    for colour, (left, top, right, bottom) in (
        (BLUE, (-0.5, -0.5, 0.5, 0.5)),
        (YELLOW, (-0.125, -0.4, 0.375, 0.4)),
        (ORANGE, (0.0, -0.1, 0.25, 0.3)),
    ):
        expected = (torch.tensor([left, top, right, bottom]) + 1) * SIDE / 2
        torch.testing.assert_close(box(drawn, colour), expected, atol=2.5, rtol=0)  # half a pixel of 28, and the line


def test_the_deepest_layer_looks_at_the_image_sampled_by_the_product(window):
    image = torch.rand(1, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    first, second = window(30, 0.8, 0.1, 0.0), window(-50, 0.7, 0.0, -0.2)
    picture = warp_pictures(image, windows(first, second))["product"]
    full = [torch.tensor([*t, 0, 0, 1]).view(3, 3) for t in (first, second)]
    expected = F.grid_sample(
        image, F.affine_grid((full[0] @ full[1])[None, :2], (1, 1, 28, 28), align_corners=False), align_corners=False
    )
    enlarged = F.interpolate(expected, size=(SIDE, SIDE), mode="nearest")[0] * 255
    assert (cell(picture, 2, 0).float() - enlarged).abs().max() < 1


def test_each_transformer_is_drawn_on_the_image_as_it_reaches_it(window):
    """The second sees the image turned by 90 degrees, its right column now on top."""
    image = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    pictures = warp_pictures(image, windows(window(90), window(scale=0.5)))
    for name, reaching in (("input", image), ("conv1", image.rot90(1, (2, 3)))):
        expected = F.interpolate(reaching, size=(SIDE, SIDE), mode="nearest")[0, 0] * 255
        torch.testing.assert_close(cell(pictures[name], 0, 0)[0].float(), expected, atol=1, rtol=0)
        drawn = box(cell(pictures[name], 1, 0), ORANGE)
        half = SIDE / 4 if name == "conv1" else 0.0
        torch.testing.assert_close(drawn, torch.tensor([half, half, SIDE - half, SIDE - half]), atol=4, rtol=0)


def test_only_one_transformer_has_no_product(window):
    assert set(warp_pictures(torch.rand(1, 1, 28, 28), windows(window()))) == {"input"}
    assert warp_pictures(torch.rand(1, 1, 28, 28), {}) == {}


def test_a_feature_map_is_shown_over_its_own_range(window):
    warps = windows(window(), window())
    low = warps["conv1"]._replace(output=0.01 * torch.linspace(0, 1, 49).view(1, 1, 7, 7).expand(1, 4, 7, 7))
    shown = cell(warp_pictures(torch.rand(1, 1, 28, 28), warps | {"conv1": low})["conv1"], 2, 0)
    assert (shown.min(), shown.max()) == (0, 255)


@pytest.mark.parametrize("mean", [0.2, 0.4, 0.6])  # the image brighter, on both sides, and darker
@pytest.mark.parametrize("channels", [1, 3])
def test_a_standardised_input_is_shown_in_the_colours_of_the_image(channels, mean, window):
    image = 0.3 + 0.2 * torch.rand(1, channels, 28, 28)  # dull
    grid = Affine().grid(torch.tensor([window(scale=0.9)]), (28, 28))
    sampled = F.grid_sample(image, grid, align_corners=False)
    plain, standardised = (Warped(o, torch.zeros(1, 6), grid) for o in (sampled, (sampled - mean) / 0.05))
    shown = [warp_pictures(image, {"input": warped})["input"] for warped in (plain, standardised)]
    assert (shown[0].int() - shown[1].int()).abs().max() <= 1
    assert cell(shown[1], 2, 0).max() <= 128


def test_what_a_sampler_does_at_the_input_is_shown_as_it_is(window):
    """A kernel that overshoots, here by a tenth, is no standardisation."""
    output = torch.full((1, 1, 28, 28), 0.5)
    output[..., :14] = -0.1
    grid = Affine().grid(torch.tensor([window()]), (28, 28))
    shown = cell(warp_pictures(torch.rand(1, 1, 28, 28), {"input": Warped(output, torch.zeros(1, 6), grid)})["input"], 2, 0)
    assert set(shown.unique().tolist()) == {0, 128}


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 1e30])
def test_a_warp_without_numbers_leaves_the_other_images_alone(bad, window):
    def pictures(first):
        theta = torch.tensor([window(10, 0.8), window(20, 0.7)])
        theta[0, 2] = first
        grids = [Affine().grid(theta, (14, 14)), Affine().grid(theta.flip(1).contiguous(), (7, 7))]
        warps = {n: Warped(torch.ones(2, 1, 7, 7), theta, g) for n, g in zip(("input", "conv1"), grids, strict=True)}
        return warp_pictures(torch.linspace(0, 1, 1568).view(2, 1, 28, 28), warps)

    clean, spoiled = pictures(0.1), pictures(bad)
    for name in clean:
        assert torch.equal(clean[name][:, :, CELL:], spoiled[name][:, :, CELL:])


def test_panel_of_the_product_can_leave_out_the_plain_row():
    outlines = {"input": torch.zeros(2, 5, 5, 2), "conv1": torch.zeros(2, 5, 5, 2)}
    heights = [product_panel(torch.rand(2, 3, 9, 9), outlines, plain_row=plain).shape[1] for plain in (True, False)]
    assert heights == [3 * CELL + LEGEND, 2 * CELL + LEGEND]


def test_tensorboard_shows_the_product_of_transformers_in_a_row(reader, numbers, loader, trainer, pictures, window):
    task, (images, targets) = reader(input=window(scale=0.8), conv1=window(20, 0.9), conv2=window(scale=0.9)), numbers(6)
    callbacks = WarpPictures(num_images=3), HardSamples(num_images=2)
    trainer(*callbacks).validate(task, loader([(images, targets)]), verbose=False)
    found = pictures()
    names = ("input", "conv1", "conv2", "product")
    assert set(found) == {f"{title}/{name}" for title in ("warp", "hardest", "wrong") for name in names}
    assert found["warp/product"].shape == (3 * CELL + LEGEND, 3 * CELL, 3)
    assert (np.abs(found["warp/product"].astype(int) - ORANGE.numpy()).max(-1) < 60).any()
    with torch.inference_mode():
        warps = task.eval()(images).warps
    expected = warp_pictures(images[:3], {name: Warped(*(part[:3] for part in warped)) for name, warped in warps.items()})
    for name in names:
        assert np.array_equal(found[f"warp/{name}"], expected[name].permute(1, 2, 0).numpy())


@pytest.mark.parametrize("align_corners", [False, True])
def test_transformers_at_the_identity_look_at_the_image_itself(align_corners):
    """Under either setting of the task; to the centres of the image's outermost pixels."""
    torch.manual_seed(0)
    placements = ["input", "conv1", "conv2", "conv3"]
    build = partial(HouseNumberNet, width=0.05)
    task = SequenceRecognition((3, 54, 54), 10, 5, build, Affine(), placements, align_corners=align_corners).eval()
    images = torch.rand(2, 3, 54, 54)
    with torch.no_grad():
        warps = task(images).warps
    assert has_align_corners(task) == align_corners
    seen = paths(images, half_pixel(images, warps, align_corners))
    for name in placements:
        torch.testing.assert_close(seen[name].amax((0, 1, 2)), torch.full((2,), 1 - 1 / 54), rtol=0, atol=1e-5)
