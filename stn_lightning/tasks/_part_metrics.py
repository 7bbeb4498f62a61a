"""What the windows of parallel transformers cover."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from stn_lightning.spatial_transformer import Warped
from stn_lightning.tasks._windows import box_iou, covers


class PartCoverage(Metric):
    """How often windows cover the points of parts, and how well they fit the box.

    ``compute`` returns a dict of scalars in [0, 1]: ``covered_PART``, share of the images that show a part in which any window
    covers it; ``covered_PART_by_K``, the same of the K-th window; ``box_iou_by_K``, mean intersection over union of the K-th
    window with the box. Parts that no image shows are left out.

    Args:
        names: names of the parts; spaces become underscores.
        windows: number of windows.
    """

    full_state_update = False
    shown: Tensor
    covered: Tensor
    covered_by: Tensor
    iou: Tensor
    images: Tensor

    def __init__(self, names: Sequence[str], windows: int) -> None:
        super().__init__()
        self.names = [name.replace(" ", "_") for name in names]
        parts = len(self.names)
        self.add_state("shown", torch.zeros(parts, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("covered", torch.zeros(parts, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("covered_by", torch.zeros(windows, parts, dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("iou", torch.zeros(windows, dtype=torch.double), dist_reduce_fx="sum")
        self.add_state("images", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, warps: Sequence[Warped], parts: Tensor, box: Tensor) -> None:
        """Takes note of a batch.

        Args:
            warps: of each window.
            parts: (B, P, 3) normalised x, y, and whether the part is visible.
            box: (B, 4) left, top, right, bottom, normalised.
        """
        visible = parts[..., 2] > 0.5
        inside = torch.stack([covers(warp.grid, parts[..., :2]) & visible for warp in warps])
        self.shown += visible.sum(0)
        self.covered += inside.any(0).sum(0)
        self.covered_by += inside.sum(1)
        self.iou += torch.stack([box_iou(warp.grid, box).sum() for warp in warps])
        self.images += len(parts)

    def compute(self) -> dict[str, Tensor]:
        values = {}
        for p, name in enumerate(self.names):
            if self.shown[p]:
                values[f"covered_{name}"] = self.covered[p] / self.shown[p]
                for k, covered in enumerate(self.covered_by[:, p], 1):
                    values[f"covered_{name}_by_{k}"] = covered / self.shown[p]
        return values | {f"box_iou_by_{k}": iou / self.images for k, iou in enumerate(self.iou, 1)}
