"""Windows and crops against Pillow, torch and what can be said without them."""

import tracemalloc

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from stn_lightning.data._crops import crop, window
from stn_lightning.data._svhn.digit_struct import Box

HEIGHT, WIDTH = 40, 60


def noise(mode="RGB"):
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def smooth():
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    waves = [np.sin(x / 7 + y / 11), np.cos(x / 9 - y / 8), np.sin(x * y / 300)]
    return Image.fromarray((127.5 + 127 * np.stack(waves, -1)).round().astype(np.uint8))


def difference(one, two):
    return np.abs(np.asarray(one, np.int64) - np.asarray(two, np.int64)).max()


def test_window_of_one_digit_is_enlarged_about_its_centre():
    assert window([Box(3, 10, 20, 30, 40)], 1.0) == (10, 20, 40, 60)
    assert window([Box(3, 10, 20, 30, 40)], 1.3) == pytest.approx((5.5, 14, 44.5, 66))


def test_window_of_several_digits_is_about_all_of_them():
    boxes = [Box(1, 10, 5, 8, 20), Box(0, -4, 9, 10, 30), Box(2, 30, 7, 3, 4)]
    assert window(boxes, 1.0) == (-4, 5, 33, 39)
    left, top, right, bottom = window(boxes, 2.6)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((14.5, 22))
    assert (right - left, bottom - top) == pytest.approx((37 * 2.6, 34 * 2.6))


def test_window_of_no_digit_is_refused():
    with pytest.raises(ValueError, match="at least one digit"):
        window([], 1.3)


def test_whole_image_at_its_size_is_itself():
    image = noise().crop((0, 0, 40, 40))
    assert difference(crop(image, (0, 0, 40, 40), 40), np.asarray(image).transpose(2, 0, 1)) == 0


@pytest.mark.parametrize("box", [(10, 12, 30, 28), (7.3, 9.1, 41.9, 30.2), (20.4, 15.5, 21.7, 16.1)])
def test_window_inside_is_pillows_resize(box):
    expected = noise().resize((16, 16), Image.Resampling.BILINEAR, box=box)
    assert difference(crop(noise(), box, 16), np.asarray(expected).transpose(2, 0, 1)) == 0


@pytest.mark.parametrize("side", [5, 16, 64])
def test_outside_the_border_goes_on(side):
    """Pillow's resize of the image with its border repeated by hand; half a grey level is lost between its two passes."""
    draw, image, pad = np.random.default_rng(side), noise(), 300
    padded = Image.fromarray(np.pad(np.asarray(image), ((pad, pad), (pad, pad), (0, 0)), mode="edge"))
    boxes = [(0, 0, WIDTH, HEIGHT), (1, 15, 50, 30), (15, 1, 30, 30), (15, 15, 59, 30), (15, 15, 30, 39)]
    for _ in range(100):
        left, top = draw.uniform(-1.2, 1.1) * WIDTH, draw.uniform(-1.2, 1.1) * HEIGHT
        boxes.append((left, top, left + draw.uniform(0.5, 100), top + draw.uniform(0.5, 80)))
    for box in boxes:
        expected = padded.resize((side, side), Image.Resampling.BILINEAR, box=tuple(edge + pad for edge in box))
        assert difference(crop(image, box, side), np.asarray(expected).transpose(2, 0, 1)) <= 1


@pytest.mark.parametrize("box", [(12.25, 8.5, 30.75, 20.125), (-9.3, -4.4, 20.1, 17.7), (45.2, 25.9, 71.3, 55.5)])
def test_magnified_window_is_torchs_bilinear_sampling_to_a_fraction_of_a_pixel(box):
    image, side = smooth(), 64
    steps = (np.arange(side) + 0.5) / side
    x = (box[0] + steps * (box[2] - box[0])) * 2 / WIDTH - 1
    y = (box[1] + steps * (box[3] - box[1])) * 2 / HEIGHT - 1
    grid = torch.from_numpy(np.stack(np.meshgrid(x, y), -1))[None]
    pixels = torch.from_numpy(np.asarray(image).transpose(2, 0, 1)[None].astype(float))
    expected = F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)[0].numpy()
    assert np.abs(crop(image, box, side) - expected).max() <= 1.01  # rounded twice


def test_reduced_image_is_torchs_antialiased_interpolation():
    pixels = torch.from_numpy(np.asarray(noise()).transpose(2, 0, 1)[None].astype(float))
    expected = F.interpolate(pixels, size=(10, 10), mode="bilinear", antialias=True)[0].numpy()
    inner = (slice(None), slice(1, -1), slice(1, -1))  # at the border, torch weighs what lies inside alone
    assert np.abs(crop(noise(), (0, 0, WIDTH, HEIGHT), 10) - expected)[inner].max() <= 1.01


@pytest.mark.parametrize("far", [100, 1e4, 1e8])
def test_window_outside_shows_the_nearest_pixels(far):
    pixels = np.asarray(noise())
    corner = crop(noise(), (-far - 20, -far - 10, -far, -far), 8)
    assert (corner == pixels[0, 0][:, None, None]).all()
    right = crop(noise(), (WIDTH + far, 0, WIDTH + far + 20, HEIGHT), HEIGHT)
    assert (right == pixels[:, -1].T[:, :, None]).all()


@pytest.mark.parametrize("place", [(20.5, 10.5), (0, 0), (20.0, 10.5)])
def test_window_without_a_size_is_one_colour(place):
    pixels = np.asarray(noise()).astype(float)
    square = crop(noise(), (*place, *place), 4)
    assert (square == square[:, :1, :1]).all()
    x, y = place
    expected = {20.5: pixels[10, 20], 0: pixels[0, 0], 20.0: (pixels[10, 19] + pixels[10, 20]) / 2}[x]
    assert np.abs(square[:, 0, 0] - expected).max() <= 0.5
    assert y in (10.5, 0)


def test_window_of_one_pixel_has_its_colour_in_the_middle():
    square = crop(noise(), (20, 10, 21, 11), 5)
    assert (square[:, 2, 2] == np.asarray(noise())[10, 20]).all()


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "CMYK", "I;16"])
@pytest.mark.parametrize("box", [(5, 5, 30, 30), (-5, -5, 30, 50)])
def test_images_of_other_modes(mode, box):
    image = Image.fromarray(np.asarray(noise("L")).astype(np.uint16) * 257) if mode == "I;16" else noise(mode)
    assert image.mode == mode
    expected = noise("L") if mode == "I;16" else image
    assert difference(crop(image, box, 16), crop(expected.convert("RGB"), box, 16)) == 0


@pytest.mark.parametrize("box", [(-1e9, -1e9, 1e9, 1e9), (-1e6, 0, 1e6, 10), (-50_000, -50_000, 50_000, 50_000)])
def test_memory_does_not_grow_with_the_window(box):
    tracemalloc.start()
    square = crop(noise(), box, 64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6
    assert square.shape == (3, 64, 64)


def test_window_far_larger_than_the_image_is_its_border():
    pixels = np.asarray(noise())
    square = crop(noise(), (-1e9, -1e9, 1e9, 1e9), 8)
    for y, x in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        assert (square[:, y, x] == pixels[y, x]).all()


@pytest.mark.parametrize("edge", [float("nan"), float("inf"), 2e9])
@pytest.mark.parametrize("which", range(4))
def test_window_without_bounds_is_refused(edge, which):
    box = [0.0, 0.0, 10.0, 10.0]
    box[which] = edge
    with pytest.raises(ValueError, match="within 1e\\+09 pixels"):
        crop(noise(), tuple(box), 8)
