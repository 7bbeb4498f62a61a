"""Draws 8x5 test images of each distorted set.

python benchmarks/contact_sheet.py [--source mnist] [--root data] [--picture docs/distortions.png]
"""

from __future__ import annotations

import argparse
from typing import get_args

import torch
import torch.nn.functional as F
from torchvision.utils import make_grid, save_image

from stn_lightning.callbacks import captions
from stn_lightning.data import DistortedDigits
from stn_lightning.distortions import Recipe

ROWS, COLUMNS = 5, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="mnist", choices=["mnist", "digits"])
    parser.add_argument("--root", default="data")
    parser.add_argument("--picture", default="docs/distortions.png")
    arguments = parser.parse_args()
    sheets = []
    for name in get_args(Recipe):
        data = DistortedDigits(arguments.source, name, arguments.root)
        data.setup("test")
        images, _ = next(iter(data.test_dataloader()))
        sheet = make_grid(images[: ROWS * COLUMNS], nrow=COLUMNS, padding=2, pad_value=0.35)
        heading = captions([name], sheet.shape[2] - 4, 20).float() / 255
        sheets.append(torch.cat([heading, sheet], dim=1))
    height = max(sheet.shape[1] for sheet in sheets)
    padded = [F.pad(sheet, (6, 6, 0, height - sheet.shape[1]), value=1.0) for sheet in sheets]
    rows = [torch.cat(padded[i : i + 3], dim=2) for i in (0, 3)]
    width = max(row.shape[2] for row in rows)
    save_image(torch.cat([F.pad(row, (0, width - row.shape[2], 0, 0), value=1.0) for row in rows], dim=1), arguments.picture)


if __name__ == "__main__":
    main()
