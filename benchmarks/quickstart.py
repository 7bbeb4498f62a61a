"""Trains an ST-CNN and the same-sized CNN on distorted embedded digits, and shows what the spatial transformer learnt.

python benchmarks/quickstart.py [--seeds 0 1 2] [--picture quickstart.png] [further options of `stn fit`]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
from _runs import report, train_all
from torchvision.utils import save_image

from stn_lightning.callbacks import panel
from stn_lightning.cli import CLI
from stn_lightning.networks import Output
from stn_lightning.spatial_transformer import Warped

CONFIG = str(Path(__file__).parents[1] / "configs" / "quickstart.yaml")
SHOWN = 12


def draw(cli: CLI, picture: str) -> None:
    """Test images, with the outline of the sampling grid, above what the transformer made of them."""
    images, _ = next(iter(cli.datamodule.test_dataloader()))
    with torch.inference_mode():
        output: Output = cli.model.eval()(images[:SHOWN])
    (warped,) = output.warps.values()
    save_image(panel(images[:SHOWN], Warped(*warped), plain_row=False) / 255, picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--picture", default="quickstart.png")
    arguments, options = parser.parse_known_args()
    # without a transformer that zooms in, the pooling at the entrance would cost the CNN most of its accuracy
    cnn = ["-c", CONFIG, "--model.transform=null", "--model.network.pool=1", *options]
    models = {"CNN": cnn, "ST-CNN": ["-c", CONFIG, *options]}
    results, last = train_all(models, arguments.seeds)
    draw(last, arguments.picture)
    report(results)
    print(f"\nWhat the transformer looks at, and what it makes of it: {arguments.picture}")
    here = ".venv/bin/" if os.path.exists(".venv/bin/tensorboard") else ""
    print(f"Curves and pictures: {here}tensorboard --logdir {last.trainer.default_root_dir}")


if __name__ == "__main__":
    main()
