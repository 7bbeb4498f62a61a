"""How far `-theta` is from the inverse: small thetas, saturated ones, and the worst that gradient ascent finds.

python plugins/stn-diffeomorphic/benchmarks/inverse.py
"""

from __future__ import annotations

import torch
from torch import Tensor

from stn_diffeomorphic import Diffeomorphic

STARTS, STEPS = 3, 60


def off(transform: Diffeomorphic, theta: Tensor, xy: Tensor) -> Tensor:
    """The largest distance along x or y from points (N, 2) to where theta (1, P) and its inverse take them."""
    there = transform.points(theta, xy)[0]
    return (transform.points(transform.inverse(theta), there)[0] - xy).abs().max()


def worst(transform: Diffeomorphic) -> float:
    """The largest that ascent from a few random thetas meets."""
    largest = 0.0
    for _ in range(STARTS):
        theta = (transform.max_velocity * torch.randn(1, transform.num_params)).requires_grad_()
        xy, ascent = 2 * torch.rand(200, 2) - 1, torch.optim.Adam([theta], 0.3 * transform.max_velocity, maximize=True)
        for _ in range(STEPS):
            distance = off(transform, theta, xy)
            largest = max(largest, distance.item())
            (theta.grad,) = torch.autograd.grad(distance.log(), theta)
            ascent.step()
    return largest


def main() -> None:
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    xy = 2 * torch.rand(1000, 2) - 1
    print(f"{'max_velocity':>12} {'within 0.2':>12} {'saturated':>12} {'worst':>12}")
    for max_velocity in (0.4, 1.0, 2.0):
        transform = Diffeomorphic(max_velocity=max_velocity)
        draws = 2 * torch.rand(20, 1, transform.num_params) - 1
        small = max(off(transform, 0.2 * theta, xy).item() for theta in draws)
        saturated = max(off(transform, 1e3 * theta.sign(), xy).item() for theta in draws)
        print(f"{max_velocity:12} {small:12.1e} {saturated:12.1e} {worst(transform):12.1e}")


if __name__ == "__main__":
    main()
