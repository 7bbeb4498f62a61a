"""A training step of ST-CNN and CNN on a CPU: what the transformer costs, with and without convolutions by band matrices.

python benchmarks/steps.py [--parameters 120000 400000] [--rounds 9] [--threads 1]

Batches of 256 images of R (28x28) and RTS (42x42, average pooling by 2 behind the transformer), Adam; medians of interleaved
steps. "Without": the convolutions of CNN are torch's, without products with band matrices.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter
from types import MethodType

import torch
import torch.nn.functional as F
from torch import nn

from stn_lightning.networks import CNN
from stn_lightning.tasks import Classification
from stn_lightning.transforms import Affine, Transform

BATCH = 256
SETS = {"R": (28, 1), "RTS": (42, 2)}


def step(side: int, pool: int, parameters: int, transform: Transform | None, fast: bool, precise: bool) -> Callable[[], None]:
    torch.manual_seed(0)
    build = partial(CNN, pool=pool, parameters=parameters)
    task = Classification((1, side, side), 10, network=build, transform=transform)
    if not fast:
        for convolution in (task.network.get_submodule(f"stages.{name}.0") for name in ("conv1", "conv2")):
            convolution.forward = MethodType(nn.Conv2d.forward, convolution)
    images, targets = torch.rand(BATCH, 1, side, side), torch.randint(0, 10, (BATCH,))
    optimizer = torch.optim.Adam(task.parameters())

    def run() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            F.cross_entropy(task(images).prediction, targets).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", type=int, nargs="+", default=[120_000, 400_000])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print("| set | parameters | precision | CNN, ms | ST-CNN, ms | ST-CNN without, ms | gain |\n|-|-|-|-|-|-|-|")
    for name, (side, pool) in SETS.items():
        for parameters in arguments.parameters:
            for precise in (True, False):
                make = partial(step, side, pool, parameters, precise=precise)
                steps = [make(None, True), make(Affine(), True), make(Affine(), False)]
                times: list[list[float]] = [[], [], []]
                for number in range(arguments.rounds + 1):
                    for taken, run in zip(times, steps, strict=True):
                        start = perf_counter()
                        run()
                        if number:  # the first builds constants
                            taken.append(1e3 * (perf_counter() - start))
                plain, fast, slow = map(median, times)
                precision = "float32" if precise else "bfloat16"
                print(f"| {name} | {parameters:,} | {precision} | {plain:.0f} | {fast:.0f} | {slow:.0f} | {slow / fast:.2f} |")


if __name__ == "__main__":
    main()
