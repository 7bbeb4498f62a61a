"""What a camera does to a picture: uneven light, blur, few pixels, noise, JPEG."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter


def photograph(scene: NDArray[np.float32], unit: float, draw: np.random.Generator) -> Image.Image:
    """A photograph of a scene.

    Args:
        scene: (H, W, 3) in 0 to 255.
        unit: a digit's height in pixels: blur is in proportion.
        draw: source of chance.

    Returns:
        An RGB image of the same size.
    """
    scene *= light(scene.shape[:2], draw)
    image = _blurred(Image.fromarray(scene.clip(0, 255).astype(np.uint8)), unit, draw)
    if draw.random() < 0.6:
        noise = np.frombuffer(draw.bytes(scene.size), np.int8).reshape(scene.shape)
        noisy = np.asarray(image, np.float32) + noise * np.float32(draw.uniform(0.01, 0.1))
        image = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
    if draw.random() < 0.8:
        kept = io.BytesIO()
        image.save(kept, "JPEG", quality=int(draw.integers(25, 90)))
        image = Image.open(kept, formats=("JPEG",))
    return image


def _blurred(image: Image.Image, unit: float, draw: np.random.Generator) -> Image.Image:
    """Out of focus, or enlarged from digits of 12 to 28 pixels as much of SVHN looks."""
    radius, few = unit * draw.uniform(0, 0.05), draw.uniform(12, 28) / max(unit, 1)
    if draw.random() < 0.65 or few >= 1:
        return image.filter(ImageFilter.BoxBlur(radius)) if radius > 0.3 else image
    small = (max(1, round(image.width * few)), max(1, round(image.height * few)))
    return image.resize(small, Image.Resampling.BOX).resize(image.size, Image.Resampling.BICUBIC)


def light(size: tuple[int, ...], draw: np.random.Generator) -> NDArray[np.float32]:
    """(H, W, 1) factors around 1: a gradient, and sometimes the edge of a shadow."""
    x, y = np.linspace(-1, 1, size[1], dtype=np.float32), np.linspace(-1, 1, size[0], dtype=np.float32)[:, None]
    slope = draw.normal(0, 0.1, 2)
    light = (1 + slope[0] * x + slope[1] * y).astype(np.float32)
    if draw.random() < 0.2:
        angle, offset, depth = draw.uniform(0, 2 * np.pi), draw.uniform(-0.6, 0.6), draw.uniform(0.15, 0.45)
        across = np.cos(angle) * x + np.sin(angle) * y - offset
        light *= (1 - depth / (1 + np.exp(-across * draw.uniform(8, 60)))).astype(np.float32)
    return np.asarray(light[:, :, None], np.float32)
