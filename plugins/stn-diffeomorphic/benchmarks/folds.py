"""Counts the test images of MNIST, set E, whose learned sampling grid is turned over somewhere.

python plugins/stn-diffeomorphic/benchmarks/folds.py CHECKPOINT [CHECKPOINT ...] [--root data]
"""

from __future__ import annotations

import argparse

import torch
from stn_lightning.data import DistortedDigits
from stn_lightning.tasks import Classification
from torch import Tensor


def turned_over(grid: Tensor) -> Tensor:
    """Which grids (B, H, W, 2) have a cell of negative area: (B,)."""
    right, down = grid[:, :-1, 1:] - grid[:, :-1, :-1], grid[:, 1:, :-1] - grid[:, :-1, :-1]
    area = right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0]
    return (area <= 0).flatten(1).any(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+")
    parser.add_argument("--root", default="data")
    arguments = parser.parse_args()
    data = DistortedDigits("mnist", "E", arguments.root, batch_size=500)
    data.setup("test")
    for checkpoint in arguments.checkpoints:
        task = Classification.load_from_checkpoint(checkpoint, map_location="cpu").eval()
        folded = count = 0
        with torch.inference_mode():
            for images, _ in data.test_dataloader():
                (warped,) = task.network(images).warps.values()
                folded += int(turned_over(warped.grid).sum())
                count += len(images)
        print(f"{checkpoint}: {folded} of {count} grids fold")


if __name__ == "__main__":
    main()
