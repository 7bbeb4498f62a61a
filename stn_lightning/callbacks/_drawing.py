"""Pictures as tensors (3, H, W) of uint8: cells of images, outlines of grids, captions and legends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from stn_lightning.geometry import normalised_to_pixel

GAP = 4
TEXT_HEIGHT = 14
SMALLEST_FONT = 6.0
SMOOTHNESS = 4
Colour = tuple[int, int, int]
ORANGE: Colour = (255, 80, 40)
STEPS: tuple[Colour, ...] = ((0, 190, 255), (255, 215, 0), (90, 220, 90), (225, 120, 255))


def cells(images: Tensor, side: int) -> Tensor:
    """Images (B, C, H, W) as (B, 3, side, side) uint8.

    Other than 1 or 3 channels are averaged; what leaves [0, 1] is rescaled to it, each image by its own range.
    """
    images = images.detach().float().cpu().nan_to_num(0.0)
    if images.shape[1] not in (1, 3):
        images = images.mean(1, keepdim=True)
    if images.min() < -0.01 or images.max() > 1.01:
        low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
        images = (images - low) / (high - low).clamp(min=1e-6)
    images = images.clamp(0, 1)
    if max(images.shape[2:]) > side:
        scaled = F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)
    else:
        scaled = F.interpolate(images, size=(side, side), mode="nearest")
    return (scaled.clamp(0, 1) * 255).round().to(torch.uint8).expand(-1, 3, -1, -1)


def row(cells: Tensor) -> Tensor:
    """Cells (B, 3, side, side) side by side, each in a white frame of half the gap."""
    return torch.cat(list(F.pad(cells, (GAP // 2,) * 4, value=255)), dim=2)


def outlined(cells: Tensor, grids: Tensor, colour: Colour = ORANGE, width: float = 2) -> Tensor:
    """Cells (B, 3, side, side) with the outlines of grids (B, H', W', 2), normalised points of the cells."""
    return torch.stack([_with_outline(cell, grid, colour, width) for cell, grid in zip(cells, grids.cpu(), strict=True)])


def to_the_edges(grid: Tensor) -> Tensor:
    """A grid (H', W', 2) of pixel centres, its outermost points moved out to the edges of their pixels."""
    for axis in (0, 1):
        if grid.shape[axis] > 1:
            first, second, before, last = (grid.select(axis, i) for i in (0, 1, -2, -1))
            inner = grid.narrow(axis, 1, grid.shape[axis] - 2)
            outer = [first - (second - first) / 2, last + (last - before) / 2]
            grid = torch.cat([outer[0].unsqueeze(axis), inner, outer[1].unsqueeze(axis)], dim=axis)
    return grid


def _with_outline(cell: Tensor, grid: Tensor, colour: Colour, width: float) -> Tensor:
    grid = to_the_edges(grid)
    border = torch.cat([grid[0], grid[1:, -1], grid[-1, :-1].flip(0), grid[1:-1, 0].flip(0), grid[:1, 0]])
    finite = border[border.isfinite().all(1)]
    picture = Image.fromarray(cell.permute(1, 2, 0).contiguous().numpy())
    mask = Image.new("L", (cell.shape[2] * SMOOTHNESS, cell.shape[1] * SMOOTHNESS))
    points = normalised_to_pixel(finite.clamp(-10, 10), (mask.height, mask.width))
    if len(points):
        line = [(x, y) for x, y in points.tolist()]
        ImageDraw.Draw(mask).line(line, fill=255, width=round(width * SMOOTHNESS), joint="curve")
    picture.paste(colour, mask=mask.reduce(SMOOTHNESS))
    return _as_tensor(picture)


def captions(texts: Sequence[str], side: int = 84, height: int = TEXT_HEIGHT) -> Tensor:
    """Texts in one row of a height, each centred over a cell of width ``side``: (3, height, W') uint8.

    A text that is too wide is written smaller; one that is still too wide is cut.
    """
    picture = Image.new("RGB", ((side + GAP) * len(texts), height), "white")
    draw = ImageDraw.Draw(picture)
    for i, text in enumerate(texts):
        centre = i * (side + GAP) + (side + GAP) / 2
        shown, font = fitted(text, side, height * 0.8)
        draw.text((centre, height / 2), shown, fill="black", anchor="mm", font=font)
    return _as_tensor(picture)


def fitted(text: str, width: float, size: float) -> tuple[str, ImageFont.ImageFont | ImageFont.FreeTypeFont]:
    """A text in one line and its font of at most a size, such that it is at most ``width`` pixels wide."""
    text = " ".join(text.encode(errors="replace").decode().split())
    font = ImageFont.load_default(size)
    while size > SMALLEST_FONT and font.getlength(text) > width:
        size -= 0.5
        font = ImageFont.load_default(size)
    if font.getlength(text) <= width:
        return text, font
    kept = next((n for n in range(len(text) - 1, 0, -1) if font.getlength(f"{text[:n]}…") <= width), 0)
    return f"{text[:kept]}…", font


def legend(entries: Mapping[str, Colour], width: int, height: int = TEXT_HEIGHT) -> Tensor:
    """What the colours mean, in as many lines as the width needs: (3, lines * height, width) uint8."""
    font = ImageFont.load_default(height * 0.8)
    mark = height
    places: list[tuple[float, int, str, Colour]] = []
    x, line = float(GAP), 0
    for name, colour in entries.items():
        needed = mark + GAP + font.getlength(name) + 3 * GAP
        if x > GAP and x + needed > width:
            x, line = float(GAP), line + 1
        places.append((x, line, name, colour))
        x += needed
    picture = Image.new("RGB", (width, (line + 1) * height), "white")
    draw = ImageDraw.Draw(picture)
    for x, line, name, colour in places:
        middle = (line + 0.5) * height
        draw.rectangle((x, middle - 2, x + mark, middle + 2), fill=colour)
        draw.text((x + mark + GAP, middle), name, fill="black", anchor="lm", font=font)
    return _as_tensor(picture)


def stacked(parts: Iterable[Tensor]) -> Tensor:
    """Pictures of one width, one above the other."""
    return torch.cat(list(parts), dim=1)


def _as_tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)
