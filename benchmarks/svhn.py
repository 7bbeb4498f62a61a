"""Training steps of ST-CNN Single and Multi against the CNN's on house numbers, and where the time goes.

python benchmarks/svhn.py [--width 1.0] [--batch-size 32] [--sides 54 108] [--precision 32 bf16] [--rounds 7] [--threads 1]
                          [--device cpu] [--compile]

A step is forward, backward and SGD on random images in memory. The contenders take turns in one process; medians. The paper:
ST-CNN Multi is 6 % slower than the CNN (Jaderberg et al. 2015, section 4.2), on a GPU.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from functools import partial

import torch
from _timing import interleaved
from torch import nn
from torch.profiler import ProfilerActivity, profile

from stn_lightning.networks import HouseNumberNet, count_parameters
from stn_lightning.tasks import SequenceRecognition
from stn_lightning.transforms import Affine

PLACEMENTS = {"CNN": [], "ST-CNN Single": ["input"], "ST-CNN Multi": ["input", "conv1", "conv2", "conv3"]}
KINDS = {
    "convolution": ("convolution", "conv2d", "conv_depthwise"),
    "fully connected": ("mm", "addmm", "bmm", "linear"),
    "sampler": ("grid_sampler",),
    "pooling": ("max_pool",),
    "dropout": ("dropout", "bernoulli", "rand"),
    "optimizer": ("foreach", "add_", "SGD"),
}


def step(network: nn.Module, side: int, batch: int, device: str, dtype: torch.dtype) -> Callable[[], None]:
    """One training step."""
    images = torch.rand(batch, 3, side, side, device=device)
    target = torch.randint(0, 11, (batch, 5), device=device)
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-4)

    def run() -> None:
        optimiser.zero_grad()
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            output = network(images)
        torch.autograd.backward(nn.functional.cross_entropy(output.prediction.float().transpose(1, 2), target))
        optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def shares(run: Callable[[], None], device: str) -> dict[str, float]:
    """Share of a step's time by kind of operation."""
    cuda = device == "cuda"
    with profile(activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * cuda) as profiler:
        run()
    found: Counter[str] = Counter()
    for event in profiler.key_averages():
        spent = event.self_device_time_total if cuda else event.self_cpu_time_total
        kind = next((kind for kind, names in KINDS.items() if any(name in event.key for name in names)), "other")
        found[kind] += spent
    total = sum(found.values())
    return {kind: spent / total for kind, spent in found.most_common()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--sides", type=int, nargs="+", default=[54, 108])
    parser.add_argument("--precision", nargs="+", default=["32", "bf16"], choices=["32", "bf16"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--compile", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print("| images | precision | network | parameters | images/s | step, relative to the CNN's |\n|-|-|-|-|-|-|")
    details = []
    for side in arguments.sides:
        networks = {}
        for name, placements in PLACEMENTS.items():
            build = partial(HouseNumberNet, width=arguments.width)
            transform = Affine() if placements else None
            task = SequenceRecognition((3, side, side), 10, 5, build, transform, placements or None)
            networks[name] = task.network.to(arguments.device)
            if arguments.compile:
                networks[name].compile()
        for precision in arguments.precision:
            dtype = {"32": torch.float32, "bf16": torch.bfloat16}[precision]
            steps = {name: step(net, side, arguments.batch_size, arguments.device, dtype) for name, net in networks.items()}
            milliseconds = interleaved(steps, arguments.rounds)
            for name, spent in milliseconds.items():
                ratio = spent / milliseconds["CNN"]
                rate, count = 1000 * arguments.batch_size / spent, count_parameters(networks[name])
                print(f"| {side} | {precision} | {name} | {count:,} | {rate:.1f} | {ratio:.2f} |", flush=True)
                parts = ", ".join(f"{kind} {share:.0%}" for kind, share in shares(steps[name], arguments.device).items())
                details.append(f"{side} px, {precision}, {name}: {parts}")
    print("\nWhere the time goes:\n" + "\n".join(details))


if __name__ == "__main__":
    main()
