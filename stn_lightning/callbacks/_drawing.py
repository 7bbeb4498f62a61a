"""Pictures as tensors (3, H, W) of uint8: cells of images, and outlines of grids on them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageChops, ImageDraw
from torch import Tensor

from stn_lightning.geometry import normalised_to_pixel

GAP = 4
CURVE = 96  # pixels a side of a signal's curve
PIXELS_SHOW = 4  # enlarged so many times, pixels stay squares
SMOOTHNESS = 4
Colour = tuple[int, int, int]
BLACK: Colour = (0, 0, 0)
ORANGE: Colour = (255, 80, 40)
STEPS: tuple[Colour, ...] = ((0, 190, 255), (255, 215, 0), (90, 220, 90), (225, 120, 255))
PARTS: tuple[Colour, ...] = (
    (235, 30, 40), (40, 215, 60), (40, 110, 255), (255, 225, 30),
    (235, 60, 235), (40, 225, 240), (255, 135, 20), (255, 255, 255),
)  # fmt: skip


def shown(images: Tensor) -> Tensor:
    """Images (B, C, H, W) as (B, C', H, W) of [0, 1] on the CPU, C' 1 or 3.

    Other than 1 or 3 channels are averaged; what leaves [0, 1] is rescaled to it, each image by its own range. Of volumes
    (B, C, D, H, W) the sum over their depth is shown, of signals (B, C, L) the curve of the mean over their channels.
    """
    images = images.detach().float().cpu().nan_to_num(0.0)
    if images.ndim == 3:
        return curves(images.mean(1))
    if images.ndim == 5:
        images = images.sum(2)
    if images.shape[1] not in (1, 3):
        images = images.mean(1, keepdim=True)
    if images.min() < -0.01 or images.max() > 1.01:
        low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
        images = (images - low) / (high - low).clamp(min=1e-6)
    return images.clamp(0, 1)


def curves(signals: Tensor) -> Tensor:
    """Signals (B, L) as white curves on black (B, 1, CURVE, CURVE), each over its own range, the largest value on top."""
    low, high = signals.amin(1, keepdim=True), signals.amax(1, keepdim=True)
    heights = (high - signals) / (high - low).clamp(min=1e-6) * (CURVE - 1)
    heights = F.interpolate(heights[:, None], size=CURVE + 1, mode="linear", align_corners=True)[:, 0]
    top, bottom = torch.minimum(heights[:, 1:], heights[:, :-1]), torch.maximum(heights[:, 1:], heights[:, :-1])
    rows = torch.arange(CURVE).view(1, -1, 1)
    return ((rows >= top[:, None] - 1) & (rows <= bottom[:, None] + 1)).float()[:, None]


def in_the_plane(grid: Tensor) -> Tensor:
    """A grid (*size, ndim) as one of the picture (H', W', 2).

    Of a volume it is the middle slice, seen along the depth as the volume is; of a signal the window's two ends, over the
    height of the picture.
    """
    if grid.shape[-1] == 3:
        return grid[len(grid) // 2, :, :, :2]
    if grid.shape[-1] == 1:
        # of two rows, whose outer edges are twice as far
        return torch.stack([F.pad(grid, (0, 1), value=y) for y in (-0.485, 0.485)])
    return grid


def in_bytes(images: Tensor) -> Tensor:
    """Images in [0, 1] as uint8."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)


def cells(images: Tensor, side: int) -> Tensor:
    """Images (B, C, *size) as (B, 3, side, side) uint8, in the colours of ``shown``.

    Pixels that become squares of a whole number of pixels, or large ones, stay squares; else images are resized smoothly.
    """
    images = shown(images)
    squares = all(side % n == 0 or side >= PIXELS_SHOW * n for n in images.shape[2:])
    how = {"mode": "nearest-exact"} if squares else {"mode": "bicubic", "antialias": True}
    return in_bytes(F.interpolate(images, size=(side, side), **how)).expand(-1, 3, -1, -1)


def row(cells: Tensor) -> Tensor:
    """Cells (B, 3, side, side) side by side, each in a white frame of half the gap."""
    return torch.cat(list(F.pad(cells, (GAP // 2,) * 4, value=255)), dim=2)


def framed(images: Tensor, side: int, colour: Colour, width: int) -> Tensor:
    """Images (B, C, *size) as cells (B, 3, side, side) with a frame around the image."""
    frame = torch.tensor(colour, dtype=torch.uint8)[:, None, None].repeat(len(images), 1, side, side)
    frame[:, :, width : side - width, width : side - width] = cells(images, side - 2 * width)
    return frame


def outlined(
    cells: Tensor, grids: Tensor, colour: Colour = ORANGE, width: float = 2, inside: bool = False, lines: int = 0
) -> Tensor:
    """Cells (B, 3, side, side) with the outlines of grids (B, H', W', 2), or others ``in_the_plane``, points of the cells.

    A line runs along the outline, or all of its width ``inside`` it: then those of neighbours stand side by side. So many
    thinner ``lines`` each way, evenly spaced in the grid, show how it bends.
    """
    pairs = zip(cells, grids.cpu(), strict=True)
    return torch.stack([_with_outline(cell, in_the_plane(grid), colour, width, inside, lines) for cell, grid in pairs])


def to_the_edges(grid: Tensor) -> Tensor:
    """A grid (H', W', 2) of pixel centres, its outermost points moved out to the edges of their pixels."""
    for axis in (0, 1):
        if grid.shape[axis] > 1:
            first, second, before, last = (grid.select(axis, i) for i in (0, 1, -2, -1))
            inner = grid.narrow(axis, 1, grid.shape[axis] - 2)
            outer = [first - (second - first) / 2, last + (last - before) / 2]
            grid = torch.cat([outer[0].unsqueeze(axis), inner, outer[1].unsqueeze(axis)], dim=axis)
    return grid


def _with_outline(cell: Tensor, grid: Tensor, colour: Colour, width: float, inside: bool, lines: int) -> Tensor:
    grid = to_the_edges(grid)
    border = torch.cat([grid[0], grid[1:, -1], grid[-1, :-1].flip(0), grid[1:-1, 0].flip(0), grid[:1, 0]])
    picture = as_image(cell)
    mask = Image.new("L", (cell.shape[2] * SMOOTHNESS, cell.shape[1] * SMOOTHNESS))
    outline = _in_pixels(border, mask)
    if outline:
        draw = ImageDraw.Draw(mask)
        draw.line(outline, fill=255, width=round((1 + inside) * width * SMOOTHNESS), joint="curve")
        for axis in (0, 1):
            for place in torch.linspace(0, grid.shape[axis] - 1, lines + 2)[1:-1].tolist():
                below = min(int(place), grid.shape[axis] - 2)
                line = torch.lerp(grid.select(axis, below), grid.select(axis, below + 1), place - below)
                draw.line(_in_pixels(line, mask), fill=255, width=round(width * SMOOTHNESS / 2), joint="curve")
        if inside:
            within = Image.new("L", mask.size)
            ImageDraw.Draw(within).polygon(outline, fill=255, outline=0)  # that of Pillow is a pixel too large
            mask = ImageChops.darker(mask, within)
    picture.paste(colour, mask=mask.reduce(SMOOTHNESS))
    return as_tensor(picture)


def _in_pixels(points: Tensor, mask: Image.Image) -> list[tuple[float, float]]:
    """Normalised points (N, 2) as those of a mask, less what is not finite."""
    finite = points[points.isfinite().all(1)].clamp(-10, 10)
    return [(x, y) for x, y in normalised_to_pixel(finite, (mask.height, mask.width)).tolist()]


def stacked(parts: Iterable[Tensor]) -> Tensor:
    """Pictures of one width, one above the other."""
    return torch.cat(list(parts), dim=1)


def as_tensor(picture: Image.Image) -> Tensor:
    """A picture in RGB as (3, H, W) uint8."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def as_image(picture: Tensor) -> Image.Image:
    """A picture (C, H, W) uint8 of 1 channel as a grey one, of 3 in RGB."""
    return Image.fromarray(picture.permute(1, 2, 0).squeeze(2).contiguous().numpy())
