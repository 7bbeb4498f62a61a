"""How far away a window of a photograph may start and still be moved back: bilinear and multisampling.

python plugins/stn-multisampling/benchmarks/alignment.py [--picture plugins/stn-multisampling/alignment.png]
"""

from __future__ import annotations

import argparse
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.patches import Rectangle
from skimage import color, data
from skimage.transform import resize
from stn_lightning.samplers import Bilinear, Sampler
from stn_lightning.transforms import Translation
from torch import Tensor

from stn_multisampling import Multisampling

PHOTOS = ["camera", "astronaut", "coffee", "chelsea", "brick", "gravel", "coins", "moon"]
SIDE = 256
WINDOW = 0.5  # of the photograph's side
SIZE = 16  # of the output: an output pixel spans 8 pixels of the photograph
DIRECTIONS, STEPS, RATE = 16, 150, 0.02
SAMPLERS: dict[str, tuple[Sampler, str]] = {
    "bilinear": (Bilinear("border"), "#d95f02"),
    "multisampling": (Multisampling("border"), "#1b6ca8"),
    "multisampling, spread=1": (Multisampling("border", spread=1.0), "#4d4d4d"),
}


def photograph(name: str) -> Tensor:
    """(SIDE, SIDE), grey, in [0, 1]: the middle of one of scikit-image's photographs, shrunk with care."""
    image = getattr(data, name)()
    image = color.rgb2gray(image) if image.ndim == 3 else image / 255
    side = min(image.shape)
    top, left = ((n - side) // 2 for n in image.shape)
    square = image[top : top + side, left : left + side]
    return torch.from_numpy(resize(square, (SIDE, SIDE), anti_aliasing=True)).float()  # type: ignore[no-untyped-call]


class Problem:
    """Windows of photographs, moved by shifts, beside the window that is not moved.

    Args:
        images: (N, 1, H, W).
    """

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self.translation = Translation(scale=WINDOW)
        self.target = Bilinear("border")(images, self.grid(torch.zeros(len(images), 2)))

    def grid(self, shifts: Tensor) -> Tensor:
        return self.translation.grid(shifts, (SIZE, SIZE))

    def gradient(self, sampler: Sampler, shifts: Tensor) -> Tensor:
        """d(mean squared error of each window)/d(its shift), (N, 2)."""
        shifts = shifts.detach().requires_grad_()
        loss = (sampler(self.images, self.grid(shifts)) - self.target).square().mean(dim=(1, 2, 3))
        return torch.autograd.grad(loss.sum(), shifts)[0]


def arrived(sampler: Sampler, images: Tensor, distance: float) -> float:
    """The share of starts from which Adam comes to within half an output pixel."""
    angle = 2 * torch.pi * (torch.arange(DIRECTIONS) + 0.5) / DIRECTIONS
    shifts = (distance * torch.stack([angle.cos(), angle.sin()], dim=1)).repeat(len(images), 1)
    problem = Problem(images.repeat_interleave(DIRECTIONS, dim=0))
    optimizer = torch.optim.Adam([shifts], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        shifts.grad = problem.gradient(sampler, shifts)
        optimizer.step()
        schedule.step()
    return float((shifts.norm(dim=1) < WINDOW / SIZE).float().mean())


def draw_field(axes: Any, name: str, image: Tensor) -> None:
    """Arrows down the gradient, where the centre of the window lies; blue towards the right place, red away from it."""
    sampler, colour = SAMPLERS[name]
    line = torch.linspace(-0.44, 0.44, 19)
    shifts = torch.cartesian_prod(line, line)
    shifts = shifts[shifts.norm(dim=1) > 0]
    arrows = F.normalize(-Problem(image.expand(len(shifts), -1, -1, -1)).gradient(sampler, shifts))
    cosine = (arrows * F.normalize(-shifts)).sum(dim=1)
    axes.imshow(image[0, 0], cmap="gray", extent=(-1, 1, 1, -1), vmin=-0.9, vmax=1.2)
    axes.add_patch(Rectangle((-WINDOW, -WINDOW), 2 * WINDOW, 2 * WINDOW, fill=False, ec="white", lw=1.5))
    axes.quiver(*shifts.T, *arrows.T, cosine, cmap="RdYlBu", clim=(-1, 1), angles="xy", scale=22, width=0.0075, pivot="mid")
    axes.plot(0, 0, "+", color="white", ms=14, mew=2.5)
    axes.set(xticks=[], yticks=[], xlim=(-0.56, 0.56), ylim=(0.56, -0.56))
    axes.set_title(f"{name}: {100 * (cosine > 0).float().mean():.0f} % of the steps come nearer", color=colour)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", default="plugins/stn-multisampling/alignment.png")
    picture = parser.parse_args().picture
    images = torch.stack([photograph(name) for name in PHOTOS])[:, None]
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13.5, 4.4), width_ratios=(1, 1, 1.05), layout="constrained")
    for axes, name in zip((left, middle), SAMPLERS, strict=False):
        draw_field(axes, name, images[:1])
    distances = torch.arange(1, 9) / 16  # of the window's side
    print("share that arrives, from a distance of".ljust(40) + "".join(f"{distance:7.3f}" for distance in distances.tolist()))
    for name, (sampler, colour) in SAMPLERS.items():
        shares = [arrived(sampler, images, 2 * WINDOW * distance) for distance in distances.tolist()]
        print(f"{name:40}" + "".join(f"{share:7.2f}" for share in shares), flush=True)
        right.plot(distances, 100 * np.array(shares), label=name, color=colour, marker="o", ms=4)
    right.set(xlabel="distance of the start / side of the window", ylabel="starts that arrive, %", ylim=(0, 103))
    right.grid(alpha=0.3)
    right.legend(frameon=False)
    figure.savefig(picture, dpi=100)


if __name__ == "__main__":
    main()
