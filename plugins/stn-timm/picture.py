"""Draws test digits with the outline of the sampling grid, above what the transformer of a trained task made of them.

stn fit -c plugins/stn-timm/configs/digits_timm.yaml
python plugins/stn-timm/picture.py runs/digits_timm/version_0/checkpoints/last.ckpt [--picture plugins/stn-timm/timm.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from stn_lightning.callbacks import panel
from stn_lightning.data import DistortedDigits
from stn_lightning.spatial_transformer import Warped
from stn_lightning.tasks import Classification
from torchvision.utils import save_image

SHOWN = 10


def main() -> None:
    """Draws the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--picture", default=str(Path(__file__).parent / "timm.png"))
    arguments = parser.parse_args()
    data = DistortedDigits("digits", "RTS")
    data.setup("test")
    images = next(iter(data.test_dataloader()))[0][:SHOWN]
    task = Classification.load_from_checkpoint(arguments.checkpoint, map_location="cpu").eval()
    with torch.inference_mode():
        (warped,) = task.network(images).warps.values()
    save_image(panel(images, Warped(*warped), plain_row=False) / 255, arguments.picture)


if __name__ == "__main__":
    main()
