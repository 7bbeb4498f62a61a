"""Draws a digit of MNIST, turned, shrunk and moved, with the rays of the log-polar transform, above what they make of it.

python plugins/stn-polar/picture.py [--root data] [--index 1] [--picture plugins/stn-polar/polar.png]
"""

from __future__ import annotations

import argparse
import colorsys
import math
from functools import partial
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from stn_lightning.data import DistortedDigits
from stn_lightning.geometry import normalised_to_pixel
from stn_lightning.samplers import Bilinear
from stn_lightning.transforms import Similarity
from torch import Tensor

from stn_polar import Polar

SIDE, GAP, STRIP, CAPTION, LEFT, FINE = 200, 20, 8, 26, 104, 3  # FINE: drawn so much larger, then reduced
RAYS, CIRCLES = 12, 4
POLAR = Polar(inner_radius=0.07, outer_radius=0.7)
PANELS = [  # captions above and below, degrees clockwise, factor, shift (x, y) in normalised units
    ("a digit", "", 0, 1.0, (0.0, 0.0)),
    ("turned by 90°", "down by 1/4", 90, 1.0, (0.0, 0.0)),
    ("turned by 180°", "down by 1/2", 180, 1.0, (0.0, 0.0)),
    ("half as large", "left by log 2", 0, 0.5, (0.0, 0.0)),
    ("and moved, its origin too", "the same", 0, 0.5, (0.4, -0.3)),
]


def moved(digit: Tensor, degrees: float, factor: float, shift: tuple[float, float]) -> Tensor:
    """A digit (1, 1, H, W), turned clockwise, enlarged and moved: (1, 1, SIDE * FINE, SIDE * FINE)."""
    a, b = math.cos(math.radians(degrees)) / factor, -math.sin(math.radians(degrees)) / factor
    x, y = shift
    theta = torch.tensor([[a, b, -a * x + b * y, -b * x - a * y]])
    return warped(digit, Similarity().grid(theta, (SIDE * FINE, SIDE * FINE)))


def warped(image: Tensor, grid: Tensor) -> Tensor:
    """An image through a grid."""
    output: Tensor = Bilinear()(image, grid)
    return output


def hue(angle: float) -> tuple[int, int, int]:
    """A colour of an angle in turns."""
    r, g, b = colorsys.hsv_to_rgb(angle % 1, 0.85, 1.0)
    return round(255 * r), round(255 * g), round(255 * b)


def as_picture(image: Tensor) -> Image.Image:
    """(1, 1, H, W) in [0, 1] as an RGB picture."""
    return Image.fromarray((image[0, 0].clamp(0, 1) * 255).byte().numpy()).convert("RGB")


def with_rays(image: Tensor, theta: Tensor) -> Image.Image:
    """An input with rays, coloured by their angle, and circles."""
    picture = as_picture(image)
    draw = ImageDraw.Draw(picture)
    line = torch.linspace(-1, 1, 181)
    for i in range(CIRCLES + 1):
        circle = torch.stack([torch.full_like(line, 2 * i / CIRCLES - 1), line], dim=1)
        draw.line(pixels(theta, circle, image), fill=(150, 150, 150), width=FINE)
    for i in range(RAYS):
        ray = torch.stack([line, torch.full_like(line, 2 * i / RAYS - 1)], dim=1)
        draw.line(pixels(theta, ray, image), fill=hue(i / RAYS), width=FINE + 1)
    return picture


def pixels(theta: Tensor, target: Tensor, image: Tensor) -> list[tuple[float, float]]:
    """Where target points (N, 2) lie in the input, in pixels."""
    return [(x, y) for x, y in normalised_to_pixel(POLAR.points(theta, target)[0], image.shape[2:]).tolist()]


def with_strip(output: Image.Image) -> Image.Image:
    """An output with the colours of its rows at its left."""
    width = STRIP * FINE
    picture = Image.new("RGB", (output.width, output.height), "white")
    picture.paste(output.resize((output.width - width - 2 * FINE, output.height)), (width + 2 * FINE, 0))
    draw = ImageDraw.Draw(picture)
    for row in range(output.height):
        draw.line([(0, row), (width, row)], fill=hue((row + 0.5) / output.height))
    return picture


def main() -> None:
    """Draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data")
    parser.add_argument("--index", type=int, default=1)
    parser.add_argument("--picture", default=str(Path(__file__).parent / "polar.png"))
    arguments = parser.parse_args()
    data = DistortedDigits("mnist", "none", arguments.root)
    data.setup("test")
    digit = next(iter(data.test_dataloader()))[0][arguments.index][None]

    width, height = LEFT + len(PANELS) * (SIDE + GAP), 2 * (CAPTION + SIDE) + GAP + CAPTION
    sheet = Image.new("RGB", (width * FINE, height * FINE), "white")
    write = partial(ImageDraw.Draw(sheet).text, fill="black", font=ImageFont.load_default(15 * FINE))
    upper, lower = CAPTION * FINE, (CAPTION + SIDE + GAP) * FINE
    for column, (above, below, degrees, factor, shift) in enumerate(PANELS):
        image, theta = moved(digit, degrees, factor, shift), torch.tensor([shift])
        output = warped(image, POLAR.grid(theta, (SIDE * FINE, SIDE * FINE)))
        x = (LEFT + column * (SIDE + GAP)) * FINE
        sheet.paste(with_rays(image, theta), (x, upper))
        sheet.paste(with_strip(as_picture(output)), (x, lower))
        write((x + SIDE * FINE / 2, upper / 2), above, anchor="mm")
        write((x + SIDE * FINE / 2, lower + SIDE * FINE + upper / 2), below, anchor="mm")
    for y, name in ((upper, "input"), (lower, "output\n\nrows:\nangle\n\ncolumns:\nlog radius")):
        write(((LEFT - 12) * FINE, y + SIDE * FINE / 2), name, anchor="rm", align="right")
    sheet.resize((width, height), Image.Resampling.LANCZOS).save(arguments.picture, optimize=True)


if __name__ == "__main__":
    main()
