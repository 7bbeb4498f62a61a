"""Draws random diffeomorphisms, their way back, and thin plate splines of the same control points that move as far.

python plugins/stn-diffeomorphic/picture.py [--picture plugins/stn-diffeomorphic/diffeomorphic.png]
"""

from __future__ import annotations

import argparse
import colorsys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from stn_lightning.geometry import regular_points
from stn_lightning.transforms import ThinPlateSpline, Transform
from torch import Tensor

from stn_diffeomorphic import Diffeomorphic

SIDE, GAP, CAPTION, LEFT, FINE = 230, 16, 10, 150, 3  # FINE: drawn so much larger, then reduced
REACH = 1.7  # of a panel, in half widths of the image
LINES, CELLS = 17, 160
FOLD = (225, 45, 45)
SEEDS = (4, 11, 10)
FLOW, SPLINE = Diffeomorphic(grid_size=4, max_velocity=1.0), ThinPlateSpline(grid_size=4)


def pixels(points: Tensor) -> list[tuple[float, float]]:
    """Points (N, 2) in normalised units, in pixels of a panel."""
    return [(x, y) for x, y in ((points / REACH + 1) / 2 * SIDE * FINE).tolist()]


def panel(warp: Callable[[Tensor], Tensor], control: Tensor | None = None) -> Image.Image:
    """Where a warp (N, 2) -> (N, 2) takes a grid of lines; red where it is turned over; control points (K, 2) as dots."""
    picture = Image.new("RGB", (SIDE * FINE, SIDE * FINE), (247, 247, 247))
    draw = ImageDraw.Draw(picture)
    corners = warp(regular_points((CELLS + 1, CELLS + 1), align_corners=True)).view(CELLS + 1, CELLS + 1, 2)
    a, b, c, d = corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1]
    area = (b - a)[..., 0] * (d - a)[..., 1] - (b - a)[..., 1] * (d - a)[..., 0]
    along = torch.linspace(-1, 1, 400, dtype=torch.float64)
    for i in range(LINES):
        at = torch.full_like(along, 2 * i / (LINES - 1) - 1)
        for line, hue in ((torch.stack([along, at], dim=1), 0.55), (torch.stack([at, along], dim=1), 0.68)):
            r, g, b_ = colorsys.hsv_to_rgb(hue, 0.75, 0.35 + 0.45 * i / (LINES - 1))
            colour = (round(255 * r), round(255 * g), round(255 * b_))
            draw.line(pixels(warp(line)), fill=colour, width=FINE + (FINE if i in (0, LINES - 1) else 0), joint="curve")
    for row, column in (area <= 0).nonzero().tolist():
        quad = torch.stack([q[row, column] for q in (a, b, c, d)])
        draw.polygon(pixels(quad), fill=FOLD)
    for x, y in pixels(control) if control is not None else []:
        draw.ellipse([x - 3 * FINE, y - 3 * FINE, x + 3 * FINE, y + 3 * FINE], fill=(20, 20, 20))
    return picture


def moved(transform: Transform, theta: Tensor, points: Tensor) -> Tensor:
    """Source points (N, 2) of target points, by one theta (1, P)."""
    source: Tensor = transform.points(theta, points)
    return source[0]


def there_and_back(theta: Tensor, points: Tensor) -> Tensor:
    """Target points (N, 2) by theta (1, P) and then by its inverse."""
    return moved(FLOW, FLOW.inverse(theta), moved(FLOW, theta, points))


def spline_that_moves_as_far(theta: Tensor) -> Tensor:
    """Source positions (1, 32): moves along the velocities of theta, of the same mean square over the image."""
    at, xy = SPLINE.identity().double(), regular_points((40, 40))
    moves = FLOW.max_velocity * torch.tanh(theta / FLOW.max_velocity)
    far, farther = (FLOW.points(theta, xy) - xy).norm(), (SPLINE.points(at + moves, xy) - xy).norm()
    positions: Tensor = at + moves * far / farther
    return positions


def main() -> None:
    """Draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", default=str(Path(__file__).parent / "diffeomorphic.png"))
    arguments = parser.parse_args()
    names = ["random\ndiffeomorphisms", "and back,\nby -theta", "thin plate splines\nthat move as far;\nred: folds"]
    width, height = LEFT + len(SEEDS) * (SIDE + GAP), CAPTION + len(names) * (SIDE + GAP)
    sheet = Image.new("RGB", (width * FINE, height * FINE), "white")
    for column, seed in enumerate(SEEDS):
        generator = torch.Generator().manual_seed(seed)
        theta = 0.8 * torch.randn(1, FLOW.num_params, generator=generator, dtype=torch.float64)
        positions = spline_that_moves_as_far(theta)
        panels = [
            panel(partial(moved, FLOW, theta)),
            panel(partial(there_and_back, theta)),
            panel(partial(moved, SPLINE, positions), positions.view(-1, 2)),
        ]
        for row, drawn in enumerate(panels):
            sheet.paste(drawn, ((LEFT + column * (SIDE + GAP)) * FINE, (CAPTION + row * (SIDE + GAP)) * FINE))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14 * FINE)
    for row, name in enumerate(names):
        at = ((LEFT - 14) * FINE, (CAPTION + row * (SIDE + GAP) + SIDE / 2) * FINE)
        draw.text(at, name, fill="black", font=font, align="right", anchor="rm")
    sheet.resize((width, height), Image.Resampling.LANCZOS).quantize(256).save(arguments.picture, optimize=True)


if __name__ == "__main__":
    main()
