"""Parallel transformers at 448 pixels against their baseline at 224 and 448: memory, time of a training step, FLOPs.

python benchmarks/parts.py [--backbone googlenet] [--batch-size 4] [--device cpu] [--steps 3] [--rounds 3] [--threads 1]

A step is forward, backward and SGD on random images of 200 classes. Each contender runs in fresh processes, in turns; times
are medians over rounds of a round's median, after one step for warming up. Memory is what building and training add at the
peak: on a CPU of the resident set (Linux only), on a GPU of what torch allocates. FLOPs are those of the forward pass of one
image: convolutions and products, an addition and a multiplication being two.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from statistics import median
from time import perf_counter

import torch
from house_numbers import resident
from torch.utils.flop_counter import FlopCounterMode

from stn_lightning.tasks import PartsClassification

CONTENDERS = {
    "baseline, 224 px": (224, 0),
    "baseline, 448 px": (448, 0),
    "2x ST-CNN, 448 px, parts of 224": (448, 2),
    "4x ST-CNN, 448 px, parts of 224": (448, 4),
}
CLASSES = 200


def allocated(device: str) -> float:
    """MiB in use."""
    return torch.cuda.memory_allocated() / 2**20 if device == "cuda" else resident("VmRSS") / 2**10


def peak(device: str) -> float:
    """MiB in use at most, so far."""
    return torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else resident("VmHWM") / 2**10


def measure(name: str, backbone: str, batch: int, device: str, steps: int) -> dict[str, float]:
    """Milliseconds of a step, MiB and GFLOPs of a contender."""
    side, parts = CONTENDERS[name]
    before = allocated(device)
    task = PartsClassification((3, side, side), CLASSES, parts, backbone=backbone).to(device)
    images, target = torch.rand(batch, 3, side, side, device=device), torch.randint(CLASSES, (batch,), device=device)
    optimiser = torch.optim.SGD(task.parameters(), lr=1e-4)
    times = []
    for _ in range(steps + 1):
        start = perf_counter()
        optimiser.zero_grad()
        output = task(images)
        torch.autograd.backward(task.loss(output, target) + task.penalty(output, images))
        optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append((perf_counter() - start) * 1e3)
    added = peak(device) - before
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        task.eval()(images[:1])
    return {"time": median(times[1:]), "memory": added, "flops": counter.get_total_flops() / 1e9}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="googlenet")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--contender", choices=CONTENDERS, help="what a fresh process measures")
    arguments = parser.parse_args()
    if arguments.contender:
        torch.set_num_threads(arguments.threads)
        options = (arguments.backbone, arguments.batch_size, arguments.device, arguments.steps)
        print(json.dumps(measure(arguments.contender, *options)))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    for _ in range(arguments.rounds):
        for name, rounds in found.items():
            command = [sys.executable, __file__, *sys.argv[1:], "--contender", name]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            rounds.append(json.loads(done.stdout))
            print(f"{name}: {rounds[-1]['time']:,.0f} ms, {rounds[-1]['memory']:,.0f} MiB", file=sys.stderr, flush=True)
    results = {name: {key: median(run[key] for run in rounds) for key in rounds[0]} for name, rounds in found.items()}
    first = next(iter(results.values()))
    print(f"{arguments.backbone}, batches of {arguments.batch_size}, {arguments.device}; in brackets: relative to the first\n")
    print("| network | GFLOPs, forward | memory, MiB | training step, ms |")
    print("|---|---|---|---|")
    for name, result in results.items():
        digits = {"flops": 1, "memory": 0, "time": 0}
        columns = (f"{result[key]:,.{n}f} ({result[key] / first[key]:.2f})" for key, n in digits.items())
        print(f"| {name} | {' | '.join(columns)} |")


if __name__ == "__main__":
    main()
