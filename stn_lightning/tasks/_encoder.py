"""The encoder of co-localisation: a classifier, trained on digits or read from a checkpoint."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from stn_lightning.checkpoints import read_checkpoint
from stn_lightning.data._distorted_digits import scaled
from stn_lightning.networks import Network

BATCH = 256
RATE = 0.004  # the highest, of configs/recipe/fast.yaml


def train_encoder(encoder: Network, images: Tensor, targets: Tensor, epochs: int) -> None:
    """Trains a classifier by Adam under a one-cycle schedule, in batches of 256; the order is torch's own random one.

    Args:
        encoder: on the device of training; frozen again in the end.
        images: (N, C, H, W) uint8.
        targets: (N,) classes.
        epochs: passes over them.
    """
    first = next(encoder.parameters())
    parts = [part for _ in range(epochs) for part in torch.split(torch.randperm(len(targets)), BATCH)]
    encoder.requires_grad_(True)
    optimizer = torch.optim.Adam(encoder.parameters(), RATE)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, len(parts))
    for part in parts:
        logits = encoder(scaled(images[part]).to(first)).prediction
        optimizer.zero_grad()
        torch.autograd.backward(F.cross_entropy(logits, targets[part].to(first.device)))
        optimizer.step()
        scheduler.step()
    encoder.zero_grad()
    encoder.requires_grad_(False)


def read_encoder(encoder: Network, file: str) -> None:
    """Takes the weights of a classifier from a checkpoint of ``Classification`` with the same network.

    Args:
        encoder: the classifier.
        file: such as ``best.ckpt`` of ``stn fit -c configs/experiment/undistorted_cnn.yaml``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file, if it is no checkpoint, or of another network.
    """
    kept = read_checkpoint(file)
    prefix = "network."
    weights = {
        name.removeprefix(prefix): value for name, value in kept.get("state_dict", {}).items() if name.startswith(prefix)
    }
    try:
        encoder.load_state_dict(weights)
    except RuntimeError as e:
        raise ValueError(
            f"{file} holds no encoder: expected a checkpoint of Classification with CNN on 28x28 digits, as "
            f"configs/experiment/undistorted_cnn.yaml makes it; {' '.join(str(e).split())[:200]}"
        ) from e
