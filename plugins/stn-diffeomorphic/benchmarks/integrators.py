"""Points that follow the velocity field, against scaling and squaring on a lattice: precision and cost.

python plugins/stn-diffeomorphic/benchmarks/integrators.py
"""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import torch
import torch.nn.functional as F
from stn_lightning.geometry import regular_points
from torch import Tensor

from stn_diffeomorphic import Diffeomorphic
from stn_diffeomorphic._splines import velocity

Warp = Callable[[Tensor, tuple[int, int]], Tensor]
REACH = 7 / 3  # of the velocity field of 4x4 control points


class ScalingAndSquaring:
    """The displacement ``u = v / 2^n``, n times ``u <- u + u(p + u)``, on a lattice and bilinear between its points.

    Args:
        side: points per side of the lattice, which covers the whole field.
        squarings: n.
    """

    def __init__(self, side: int, squarings: int = 6) -> None:
        self.side, self.squarings = side, squarings

    def __call__(self, theta: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, *size, 2), the grid of theta (B, 32)."""
        where = REACH * regular_points((self.side, self.side), align_corners=True).to(theta)
        control = (0.4 * torch.tanh(theta / 0.4)).view(-1, 4, 4, 2).permute(0, 3, 1, 2)
        v = velocity(control, (where.T * 1.5 + 1.5).contiguous()[None])
        u = v.view(-1, 2, self.side, self.side) / 2**self.squarings
        lattice = where.view(self.side, self.side, 2)
        for _ in range(self.squarings):
            u = u + self.at(u, lattice + u.permute(0, 2, 3, 1))
        xy = regular_points(size).to(theta).view(1, *size, 2).expand(len(theta), -1, -1, -1)
        return xy + self.at(u, xy).permute(0, 2, 3, 1)

    @staticmethod
    def at(u: Tensor, points: Tensor) -> Tensor:
        """A displacement (B, 2, side, side) at points (B, H, W, 2): (B, 2, H, W)."""
        return F.grid_sample(u, points / REACH, align_corners=True)


def runge_kutta(steps: int) -> Warp:
    """The grid of the transform by a number of steps."""
    transform = Diffeomorphic()
    transform.steps = steps
    return transform.grid


def cost(warp: Warp) -> str:
    """Milliseconds of a forward and a backward pass, the least of five: 64 grids of 28x28, 4 grids of 224x224."""
    return f"{milliseconds(warp, 64, (28, 28)):9.1f} {milliseconds(warp, 4, (224, 224)):11.1f}"


def milliseconds(warp: Warp, batch: int, size: tuple[int, int]) -> float:
    """Time of a forward and a backward pass, the least of five."""
    theta, times = (0.2 * torch.randn(batch, 32)).requires_grad_(), []
    for _ in range(5):
        start = process_time()
        torch.autograd.grad(warp(theta, size).square().sum(), theta)
        times.append(1e3 * (process_time() - start))
    return min(times)


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warps: dict[str, Warp] = {f"Runge-Kutta, {n} steps": runge_kutta(n) for n in (1, 2, 4)}
    warps |= {f"squaring, {n}x{n}": ScalingAndSquaring(n) for n in (28, 64, 128)}
    draws = torch.randn(4, 32, dtype=torch.float64)
    thetas = {"0.2": 0.2 * draws, "saturated": 1e3 * draws.sign()}
    exact = {name: runge_kutta(32)(theta, (112, 112)) for name, theta in thetas.items()}
    print(f"{'':24} {'error, 0.2':>12} {'saturated':>12} {'28x28 ms':>9} {'224x224 ms':>11}")
    for name, warp in warps.items():
        grids = {key: warp(theta, (112, 112)) for key, theta in thetas.items()}
        errors = "".join(f" {(grids[key] - exact[key]).abs().max().item():12.1e}" for key in thetas)
        print(f"{name:24}{errors} {cost(warp)}")
    print(f"{'2 steps, torch.compile':24} {'':12} {'':12} {cost(torch.compile(runge_kutta(2), dynamic=False))}")


if __name__ == "__main__":
    main()
