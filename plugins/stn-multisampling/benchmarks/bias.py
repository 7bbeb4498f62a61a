"""d(loss) / d(scale of the window) of a trained network, as the samplers' gradients say, and as the loss itself says.

python plugins/stn-multisampling/benchmarks/bias.py CHECKPOINT    # of configs/tc_small_window.yaml
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
import torch.nn.functional as F
from stn_lightning.data import DistortedDigits
from stn_lightning.samplers import Bilinear, Sampler
from stn_lightning.tasks import Classification
from torch import Tensor

from stn_multisampling import Multisampling

BATCHES, STEP = 10, 0.03
SAMPLERS: dict[str, Sampler] = {
    "bilinear": Bilinear(),
    "multisampling": Multisampling(),
    "multisampling, spreads of 1": Multisampling(spread=1.0, input_spread=1.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--root", default="data", help="folder of MNIST")
    arguments = parser.parse_args()
    network: Any = Classification.load_from_checkpoint(arguments.checkpoint, map_location="cpu").eval().network
    layer = network.transformers["input"]
    bias = layer.localisation.head.bias  # theta's own: a change of all scales alike
    data = DistortedDigits("mnist", "TC", arguments.root, batch_size=500)
    data.setup("validate")
    batches = [batch for batch, _ in zip(data.val_dataloader(), range(BATCHES), strict=False)]

    with torch.no_grad():
        scale = torch.cat([network(images).warps["input"].theta[:, 0] for images, _ in batches])
    print(f"{'mean scale of the windows':30} {scale.mean():6.3f}")

    def loss(images: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(network(images).prediction, target)

    def moved(step: float) -> Tensor:
        with torch.no_grad():
            bias[0] += step
            losses = torch.stack([loss(*batch) for batch in batches])
            bias[0] -= step
        return losses

    report("finite difference of the loss", (moved(STEP) - moved(-STEP)) / (2 * STEP))
    for name, sampler in SAMPLERS.items():
        layer.sampler = sampler
        report(name, torch.stack([torch.autograd.grad(loss(*batch), bias)[0][0] for batch in batches]))


def report(name: str, values: Tensor) -> None:
    print(f"{name:30} {values.mean():6.3f}, standard deviation over batches of 500 images {values.std():.3f}")


if __name__ == "__main__":
    main()
