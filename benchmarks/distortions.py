"""Batched distortions against loops over single images, as they are usually written.

python benchmarks/distortions.py [--rounds 7] [--images 256]

One thread; the contenders take turns in one process; medians, in images per second. R, RTS and P loop over PIL, E over scipy,
TC over numpy. The images are scikit-learn's digits drawn at 28x28.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from _timing import interleaved
from PIL import Image
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import map_coordinates

from stn_lightning.data import DistortedDigits
from stn_lightning.distortions import recipe

Array = npt.NDArray[np.float32]
LATTICE = np.stack(np.meshgrid(np.linspace(0, 27, 4), np.linspace(0, 27, 4)), -1).reshape(-1, 2)
PIXELS = np.stack(np.meshgrid(np.arange(28.0), np.arange(28.0)), -1).reshape(-1, 2)


def about_centre(angle: float, scale: float, size: int, shift: npt.NDArray[np.floating[Any]]) -> tuple[float, ...]:
    """PIL's coefficients of a rotation and scaling of a 28x28 image in a canvas."""
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    x, y = size / 2 + shift
    return cos, sin, 14 - cos * x - sin * y, -sin, cos, 14 + sin * x - cos * y


def rotated(image: Array, random: np.random.Generator) -> Array:
    coefficients = about_centre(random.uniform(-np.pi / 2, np.pi / 2), 1, 28, np.zeros(2))
    return np.asarray(
        Image.fromarray(image).transform((28, 28), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    )


def rotated_scaled_translated(image: Array, random: np.random.Generator) -> Array:
    scale = random.uniform(0.7, 1.2)
    shift = random.uniform(-1, 1, 2) * (42 - 28 * scale) / 2
    coefficients = about_centre(random.uniform(-np.pi / 4, np.pi / 4), scale, 42, shift)
    return np.asarray(
        Image.fromarray(image).transform((42, 42), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
    )


def projected(image: Array, random: np.random.Generator) -> Array:
    corners = np.array([[0, 0], [28, 0], [28, 28], [0, 28]])
    scaled = 14 + (corners - 14) * random.uniform(0.75, 1.0) + random.normal(0, 5, (4, 2))
    rows = [
        row
        for (x, y), (u, v) in zip(scaled, corners, strict=True)
        for row in ([x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y])
    ]
    solved = np.linalg.solve(np.array(rows), corners.reshape(-1))
    picture = Image.fromarray(image).transform((28, 28), Image.Transform.PERSPECTIVE, tuple(solved), Image.Resampling.BILINEAR)
    return np.asarray(picture)


def bent(image: Array, random: np.random.Generator) -> Array:
    source = 13.5 + (LATTICE + random.normal(0, 1.5, LATTICE.shape) - 13.5) / random.uniform(0.75, 1.0)
    where = RBFInterpolator(LATTICE, source, kernel="thin_plate_spline", degree=1)(PIXELS)
    return np.asarray(map_coordinates(image, where.T[::-1], order=1)).reshape(28, 28)


def cluttered(image: Array, random: np.random.Generator, others: Array) -> Array:
    canvas = np.zeros((60, 60), np.float32)
    top, left = random.integers(0, 33, 2)
    canvas[top : top + 28, left : left + 28] = image
    for _ in range(6):
        other = others[random.integers(len(others))]
        (y, x), (top, left) = random.integers(0, 23, 2), random.integers(0, 55, 2)
        canvas[top : top + 6, left : left + 6] += other[y : y + 6, x : x + 6]
    return canvas.clip(max=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=256)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = DistortedDigits(distortion="none")
    data.setup()
    images = torch.cat([raw.image for raw in data.train_dataloader()])[: arguments.images].float() / 255
    singles = images[:, 0].numpy()
    random, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    loops: dict[str, Callable[[Array], Array]] = {
        "R": lambda image: rotated(image, random),
        "RTS": lambda image: rotated_scaled_translated(image, random),
        "P": lambda image: projected(image, random),
        "E": lambda image: bent(image, random),
        "TC": lambda image: cluttered(image, random, singles),
    }
    print(f"torch {torch.__version__}, one thread, {len(images)} images, median of {arguments.rounds} rounds\n")
    print("| set | loop, images/s | batched, images/s | ratio |\n|-|-|-|-|")
    for name, loop in loops.items():
        distortion = recipe(name)  # type: ignore[arg-type]
        times = interleaved(
            {"loop": lambda loop=loop: [loop(image) for image in singles], "ours": lambda d=distortion: d(images, generator)},  # type: ignore[misc]
            arguments.rounds,
        )
        rate = {who: len(images) / ms * 1e3 for who, ms in times.items()}
        print(f"| {name} | {rate['loop']:,.0f} | {rate['ours']:,.0f} | {rate['ours'] / rate['loop']:.1f} |", flush=True)


if __name__ == "__main__":
    main()
