"""Our grids and warps against ``F.affine_grid`` + ``F.grid_sample`` and against a spline solve per sample.

python benchmarks/warp.py [--rounds 15]

One thread; the contenders take turns in one process; medians. Ratios above 1: ours is faster.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from _timing import interleaved
from torch import Tensor

from stn_lightning.geometry import homogeneous, regular_points
from stn_lightning.samplers import Bilinear
from stn_lightning.transforms import Affine, ThinPlateSpline


class Case(NamedTuple):
    """Shapes of a warp: batch, channels, side of input and of output."""

    name: str
    batch: int
    channels: int
    source: int
    target: int


CASES = (
    Case("mnist 28", 256, 1, 28, 28),
    Case("mnist 42", 256, 1, 42, 42),
    Case("mnist 60 -> 30", 256, 1, 60, 30),
    Case("svhn 64", 128, 3, 64, 64),
    Case("svhn 27, 48 channels", 128, 48, 27, 27),
    Case("svhn 27, 64 channels", 128, 64, 27, 27),
    Case("cub 448 -> 224", 16, 3, 448, 224),
)


def affine_rows(case: Case, rounds: int) -> list[float]:
    """Speed-up of the affine grid, the warp, and the warp with its backward pass."""
    transform, sampler = Affine(), Bilinear()
    theta = transform.identity().repeat(case.batch, 1) + 0.1 * torch.randn(case.batch, 6)
    images = torch.rand(case.batch, case.channels, case.source, case.source)
    side, shape = case.target, (case.batch, case.channels, case.target, case.target)
    upstream = torch.rand(shape)

    def torch_grid(theta: Tensor) -> Tensor:
        return F.affine_grid(theta.view(-1, 2, 3), list(shape), align_corners=False)

    def torch_warp(theta: Tensor, images: Tensor) -> Tensor:
        return F.grid_sample(images, torch_grid(theta), align_corners=False)

    def our_warp(theta: Tensor, images: Tensor) -> Tensor:
        warped: Tensor = sampler(images, transform.grid(theta, (side, side)))
        return warped

    def our_grid(theta: Tensor) -> Tensor:
        return transform.grid(theta, (side, side))

    def both_ways(warp: Callable[[Tensor, Tensor], Tensor]) -> Callable[[], object]:
        def step() -> None:
            leaf = theta.clone().requires_grad_()
            # an image needs no gradient, a feature map does
            torch.autograd.backward(warp(leaf, images.clone().requires_grad_(case.channels > 3)), upstream)

        return step

    with torch.no_grad():
        grid = interleaved({"torch": lambda: torch_grid(theta), "ours": lambda: our_grid(theta)}, rounds)
        warp = interleaved({"torch": lambda: torch_warp(theta, images), "ours": lambda: our_warp(theta, images)}, rounds)
    trained = interleaved({"torch": both_ways(torch_warp), "ours": both_ways(our_warp)}, rounds)
    return [times["torch"] / times["ours"] for times in (grid, warp, trained)]


def solve_per_sample(theta: Tensor, side: int) -> Tensor:
    """A thin plate spline grid as it is usually written: kernel, system and a solve for every sample."""
    centres = regular_points((4, 4), align_corners=True).float()
    xy = regular_points((side, side)).float()
    count, batch = len(centres), len(theta)

    def kernel(points: Tensor) -> Tensor:
        squared = (points[:, None] - centres).square().sum(-1)
        radial: Tensor = torch.special.xlogy(squared, squared)
        return radial / 2

    corner = torch.zeros(3, 3)
    affine = homogeneous(centres)
    system = torch.cat([torch.cat([kernel(centres), affine], 1), torch.cat([affine.T, corner], 1)])
    values = torch.cat([theta.view(batch, count, 2), torch.zeros(batch, 3, 2)], dim=1)
    weights = torch.linalg.solve(system.expand(batch, -1, -1), values)
    grid: Tensor = torch.cat([kernel(xy), homogeneous(xy)], dim=1) @ weights
    return grid


def spline_rows(batch: int, side: int, rounds: int) -> list[float]:
    """Speed-up of the spline grid over a solve per sample, and over ``F.affine_grid``; forward, then with backward."""
    transform = ThinPlateSpline()
    theta = transform.identity().repeat(batch, 1) + 0.05 * torch.randn(batch, 32)
    matrix = torch.eye(2, 3).repeat(batch, 1, 1)
    upstream = torch.rand(batch, side, side, 2)
    assert torch.allclose(solve_per_sample(theta, side), transform.grid(theta, (side, side)).flatten(1, 2), atol=2e-5)
    grids: dict[str, Callable[[Tensor], Tensor]] = {
        "solve": lambda theta: solve_per_sample(theta, side).view(batch, side, side, 2),
        "affine_grid": lambda theta: F.affine_grid(
            matrix + theta[:, :6].view(-1, 2, 3), [batch, 1, side, side], align_corners=False
        ),
        "ours": lambda theta: transform.grid(theta, (side, side)),
    }

    def both_ways(grid: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.backward(grid(theta.clone().requires_grad_()), upstream)

    with torch.no_grad():
        forward = interleaved({name: lambda grid=grid: grid(theta) for name, grid in grids.items()}, rounds)  # type: ignore[misc]
    trained = interleaved({name: both_ways(grid) for name, grid in grids.items()}, rounds)
    return [times[rival] / times["ours"] for rival in ("solve", "affine_grid") for times in (forward, trained)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, one thread, median of {rounds} rounds; speed-up of ours\n")
    print("| affine, against F.affine_grid + F.grid_sample | grid | warp | warp, forward and backward |\n|-|-|-|-|")
    for case in CASES:
        print(f"| {case.name} | " + " | ".join(f"{ratio:.2f}" for ratio in affine_rows(case, rounds)) + " |", flush=True)
    print("\n| TPS grid, 16 points | solve, forward | solve, both ways | affine_grid, forward | affine_grid, both ways |")
    print("|-|-|-|-|-|")
    for batch, side in ((256, 28), (256, 42), (256, 30), (128, 64), (16, 224)):
        print(f"| {batch} x {side} | " + " | ".join(f"{r:.2f}" for r in spline_rows(batch, side, rounds)) + " |", flush=True)


if __name__ == "__main__":
    main()
