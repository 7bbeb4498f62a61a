"""The anti-aliased sampler on photographs: how near to the mean over each output pixel, at what cost.

python benchmarks/antialiasing.py [--rounds 15] [--picture docs/antialiasing.png]

The reference is the mean of 16x16 bilinear samples in every output pixel. Images: central squares of photographs that come
with scikit-image. One thread; for the cost the contenders take turns in one process; medians.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from _timing import interleaved
from skimage import data
from torch import Tensor
from torchvision.transforms.v2.functional import resize
from torchvision.utils import save_image

from stn_lightning.callbacks import captions
from stn_lightning.samplers import Antialiased, Bicubic, Bilinear, BSpline, Sampler
from stn_lightning.transforms import Affine, Projective, Transform

PHOTOGRAPHS = ("astronaut", "brick", "camera", "chelsea", "coffee", "grass", "rocket")
Warp = Callable[[Tensor, Tensor], Tensor]


class View(NamedTuple):
    """Input pixels for each output pixel along x and y, and an angle in degrees; turned views show 0.7 of the side."""

    name: str
    shrink: tuple[float, float]
    degrees: float = 0

    def window(self) -> float:
        """Side of the view, in sides of the image."""
        return 0.7 if self.degrees else 1.0

    def size(self, side: int) -> tuple[int, int]:
        """(H, W) of the output."""
        return round(side * self.window() / self.shrink[1]), round(side * self.window() / self.shrink[0])

    def theta(self) -> Tensor:
        """Of ``Affine``."""
        cos, sin = (self.window() * f(math.radians(self.degrees)) for f in (math.cos, math.sin))
        return torch.tensor([[cos, -sin, 0.0, sin, cos, 0.0]])


VIEWS = (
    View("1/2", (2, 2)),
    View("1/4", (4, 4)),
    View("1/8", (8, 8)),
    View("1/2, turned by 30 degrees", (2, 2), 30),
    View("1/4, turned by 30 degrees", (4, 4), 30),
    View("1/8, turned by 30 degrees", (8, 8), 30),
    View("1/8 of one side", (8, 1)),
    View("1/8 of one side, turned by 30 degrees", (8, 1), 30),
)


def photograph(name: str) -> Tensor:
    """(1, C, S, S) in [0, 1], S a multiple of 16."""
    pixels = torch.from_numpy(getattr(data, name)()).float() / 255
    pixels = pixels.view(*pixels.shape[:2], -1).permute(2, 0, 1)[None]
    side = min(pixels.shape[2:]) // 16 * 16
    top, left = ((n - side) // 2 for n in pixels.shape[2:])
    return pixels[..., top : top + side, left : left + side]


def supersampled(image: Tensor, transform: Transform, theta: Tensor, size: tuple[int, int], count: int = 16) -> Tensor:
    """The mean of count x count samples in each output pixel."""
    grid = transform.grid(theta, (size[0] * count, size[1] * count))
    return F.avg_pool2d(Bilinear()(image, grid), count)


def steps(grid: Tensor) -> tuple[Tensor, Tensor]:
    """The step along x and along y of a grid whose steps are the same everywhere."""
    return grid[:, :1, 1:2] - grid[:, :1, :1], grid[:, 1:2, :1] - grid[:, :1, :1]


def regular(count: int, image: Tensor, grid: Tensor) -> Tensor:
    """The mean of count x count reads in the footprint."""
    offsets = [(i + 0.5) / count - 0.5 for i in range(count)]
    across, down = steps(grid)
    reads = [Bilinear()(image, grid + x * across + y * down) for x in offsets for y in offsets]
    return torch.stack(reads).mean(0)


def mipmap(count: int, image: Tensor, grid: Tensor) -> Tensor:
    """The mean of count x count reads from a pyramid of averages, at the level at which the longer step spans count pixels."""
    side = image.shape[3]
    longest = max(float((step * side / 2).norm()) for step in steps(grid))
    level = max(0.0, math.log2(longest / count))
    low, share = int(level), level % 1
    levels = [regular(count, F.avg_pool2d(image, 2**n), grid) for n in (low, low + 1)]
    return torch.lerp(levels[0], levels[1], share)


ALTERNATIVES: Mapping[str, tuple[int, Warp]] = {
    "antialiased": (8, Antialiased()),
    "2x2": (4, lambda image, grid: regular(2, image, grid)),
    "3x3": (9, lambda image, grid: regular(3, image, grid)),
    "4x4": (16, lambda image, grid: regular(4, image, grid)),
    "mipmap": (2, lambda image, grid: mipmap(1, image, grid)),
    "mipmap, 2x2": (8, lambda image, grid: mipmap(2, image, grid)),
}


def psnr(image: Tensor, reference: Tensor) -> float:
    """Decibels, of images with range 1."""
    return -10 * math.log10(float((image - reference).square().mean()))


def quality() -> None:
    """Prints PSNR by view: against what else there is, then against what else it could be."""
    contenders: dict[str, Warp] = {"bilinear": Bilinear(), **{name: warp for name, (_, warp) in ALTERNATIVES.items()}}
    rows: dict[str, dict[str, list[float]]] = {}
    for view in VIEWS:
        found: dict[str, list[float]] = {name: [] for name in ("torchvision resize", *contenders)}
        for image in map(photograph, PHOTOGRAPHS):
            size = view.size(image.shape[3])
            grid = Affine().grid(view.theta(), size)
            reference = supersampled(image, Affine(), view.theta(), size)
            for name, warp in contenders.items():
                found[name].append(psnr(warp(image, grid), reference))
            if not view.degrees:
                found["torchvision resize"].append(psnr(resize(image, list(size), antialias=True), reference))
        rows[view.name] = found
    print(f"PSNR in dB, mean over {', '.join(PHOTOGRAPHS)}\n")
    print("| scale | bilinear | torchvision resize | antialiased | least gain over bilinear |\n|-|-|-|-|-|")
    for name, found in rows.items():
        gain = min(ours - theirs for ours, theirs in zip(found["antialiased"], found["bilinear"], strict=True))
        columns = [f"{mean(found[which]):.1f}" if found[which] else "-" for which in ("bilinear", "torchvision resize")]
        print(f"| {name} | {' | '.join(columns)} | {mean(found['antialiased']):.1f} | {gain:.1f} |")
    print("\n| scale | " + " | ".join(f"{name}: {reads} reads" for name, (reads, _) in ALTERNATIVES.items()) + " |")
    print("|-" * (len(ALTERNATIVES) + 1) + "|")
    for name, found in rows.items():
        print(f"| {name} | " + " | ".join(f"{mean(found[which]):.1f}" for which in ALTERNATIVES) + " |", flush=True)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


class Case(NamedTuple):
    """Shapes of a warp: batch, channels, side of input and of output."""

    name: str
    batch: int
    channels: int
    source: int
    target: int


CASES = (
    Case("mnist 60 -> 30", 256, 1, 60, 30),
    Case("svhn 64 -> 16", 128, 3, 64, 16),
    Case("svhn 27, 48 channels", 32, 48, 27, 27),
    Case("cub 448 -> 224", 16, 3, 448, 224),
)
SAMPLERS: Mapping[str, Sampler] = {
    "bilinear": Bilinear(),
    "antialiased": Antialiased(),
    "bicubic": Bicubic(),
    "bspline": BSpline(),
    "bilinear, deterministic": Bilinear(deterministic=True),
}


def cost(rounds: int) -> None:
    """Prints times forward, then forward and backward: of ``bilinear`` in ms, of the others relative to it."""
    names = [name for name in SAMPLERS if name != "bilinear"]
    print("\n| | bilinear, ms | " + " | ".join(names) + " |\n" + "|-" * (len(names) + 2) + "|")
    for case in CASES:
        images = torch.rand(case.batch, case.channels, case.source, case.source)
        theta = Affine().identity().repeat(case.batch, 1) + 0.1 * torch.randn(case.batch, 6)
        grid = Affine().grid(theta, (case.target, case.target))
        upstream = torch.rand(case.batch, case.channels, case.target, case.target)

        def forward(sampler: Sampler, images: Tensor = images, grid: Tensor = grid) -> Callable[[], object]:
            return lambda: sampler(images, grid)

        def both_ways(
            sampler: Sampler, images: Tensor = images, grid: Tensor = grid, upstream: Tensor = upstream
        ) -> Callable[[], object]:
            # an image needs no gradient, a feature map does
            leaves = images.clone().requires_grad_(images.shape[1] > 3), grid.clone().requires_grad_()
            needed = [leaf for leaf in leaves if leaf.requires_grad]
            return lambda: torch.autograd.grad(sampler(*leaves), needed, upstream)

        with torch.no_grad():
            one_way = interleaved({name: forward(sampler) for name, sampler in SAMPLERS.items()}, rounds)
        trained = interleaved({name: both_ways(sampler) for name, sampler in SAMPLERS.items()}, rounds)
        ratios = [f"{one_way[name] / one_way['bilinear']:.1f}, {trained[name] / trained['bilinear']:.1f}" for name in names]
        print(f"| {case.name} | {one_way['bilinear']:.2f}, {trained['bilinear']:.2f} | {' | '.join(ratios)} |", flush=True)


def picture(path: str) -> None:
    """Draws a photograph at 1/8, turned, and a floor of tiles in perspective: bilinear, antialiased, reference."""
    tiles = torch.from_numpy(data.checkerboard()).float()[None, None] / 255  # type: ignore[no-untyped-call]
    floor = torch.tensor([[0.09, 0.0, 0.0, 0.0, 1.0, 0.909, 0.0, 0.909]])
    scenes: list[tuple[Tensor, Transform, Tensor, int, int]] = [
        (photograph("camera").expand(-1, 3, -1, -1), Affine(), VIEWS[5].theta(), 45, 6),
        (tiles.repeat(1, 3, 8, 8), Projective(), floor, 135, 2),
    ]
    rows = []
    for image, transform, theta, side, enlarged in scenes:
        grid = transform.grid(theta, (side, side))
        shown = [Bilinear()(image, grid), Antialiased()(image, grid), supersampled(image, transform, theta, (side, side))]
        large = [x[0].repeat_interleave(enlarged, 1).repeat_interleave(enlarged, 2) for x in shown]
        rows.append(torch.cat([F.pad(x, (2, 2, 2, 2), value=1.0) for x in large], dim=2))
    heading = captions(["bilinear", "antialiased", "mean of 16x16"], 270, 20).float() / 255
    save_image(torch.cat([heading, *rows], dim=1), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--picture", default="docs/antialiasing.png")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, one thread, median of {arguments.rounds} rounds")
    picture(arguments.picture)
    quality()
    cost(arguments.rounds)


if __name__ == "__main__":
    main()
