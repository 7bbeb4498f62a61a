"""Images a second that `Birds` yields from JPEG files, by the number of worker processes.

python benchmarks/decoding.py [--workers 0 1 2] [--epochs 3] [--images 400] [--root FOLDER]

Draws the images into the folder (a temporary one unless given): of 256 pixels, of which 224 are seen, and of 512, of which 448
are. The workers take turns; the first epoch, in which they start, is not timed, of the others the fastest counts, since a busy
neighbour only slows. Each process has one thread.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from time import perf_counter
from typing import Any

import torch

from stn_lightning.data import Birds

SIZES = {224: 256, 448: 512}
CLASSES, BATCH = 10, 20


def birds(root: str, size: int, images: int, workers: int) -> Birds:
    return Birds(
        root=root,
        size=size,
        classes=CLASSES,
        images_per_class=(images // CLASSES + 1, 1),
        side=SIZES[size],
        batch_size=BATCH,
        num_workers=workers,
        num_validation=CLASSES,
        seed=0,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--root")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| seen, of | " + " | ".join(f"{n} workers" for n in arguments.workers) + " |")
    print("|---" * (1 + len(arguments.workers)) + "|")
    with tempfile.TemporaryDirectory() as folder:
        for size, side in SIZES.items():
            sets = {n: birds(arguments.root or folder, size, arguments.images, n) for n in arguments.workers}
            rates = dict.fromkeys(sets, 0.0)
            loaders: dict[int, Any] = {}
            for n, data in sets.items():
                data.prepare_data()
                data.setup()
                loaders[n] = data.train_dataloader()
            for epoch in range(arguments.epochs + 1):
                for n, loader in loaders.items():
                    loader.set_epoch(epoch)
                    start = perf_counter()
                    count = sum(len(batch.image) for batch in loader)
                    if epoch:
                        rates[n] = max(rates[n], count / (perf_counter() - start))
            for data in sets.values():
                data.teardown("fit")
            first = rates[arguments.workers[0]]
            print(f"| {size}, {side} | " + " | ".join(f"{r:,.0f} images/s ({r / first:.2f})" for r in rates.values()) + " |")
    print(f"\n{os.cpu_count()} cores; load of the last minute: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
