"""Captions and legends, as pictures (3, H, W) of uint8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from stn_lightning.callbacks._drawing import GAP, Colour, as_tensor

TEXT_HEIGHT = 14
SMALLEST_FONT = 6.0


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
    return as_tensor(picture)


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
    return as_tensor(picture)
