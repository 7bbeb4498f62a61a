"""What the spatial transformers look at, as pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from stn_lightning.callbacks._validation import PictureCallback
from stn_lightning.geometry import normalised_to_pixel
from stn_lightning.networks import Output
from stn_lightning.spatial_transformer import Warped

GAP = 4
OUTLINE = (255, 80, 40)


def panel(images: Tensor, warped: Warped, side: int = 84, plain_row: bool = True) -> Tensor:
    """One column an image: the input, the input with the outline of the sampling grid, and the output.

    Args:
        images: (B, C, H, W) in [0, 1], with 1 or 3 channels.
        warped: what a spatial transformer made of them, or of a feature map of theirs.
        side: height and width of each cell, in pixels.
        plain_row: whether the first row, the input without outline, is shown.

    Returns:
        (3, H', W') uint8 picture.
    """
    inputs = _cells(images, side)
    outlined = torch.stack([_with_outline(cell, grid) for cell, grid in zip(inputs, warped.grid.cpu(), strict=True)])
    rows = [inputs, outlined, _cells(warped.output, side)]
    return torch.cat([_row(row) for row in rows[0 if plain_row else 1 :]], dim=1)


def cells_of(images: Tensor, side: int = 84) -> Tensor:
    """Images (B, C, H, W) in one row: (3, H', W') uint8."""
    return _row(_cells(images, side))


def captions(texts: Sequence[str], side: int = 84, height: int = 14) -> Tensor:
    """Texts in one row of a height, each centred over a cell of width ``side``: (3, height, W') uint8."""
    picture = Image.new("RGB", ((side + GAP) * len(texts), height), "white")
    draw = ImageDraw.Draw(picture)
    for i, text in enumerate(texts):
        centre = i * (side + GAP) + (side + GAP) / 2
        draw.text((centre, height / 2), text, fill="black", anchor="mm", font=ImageFont.load_default(height * 0.9))
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def _row(cells: Tensor) -> Tensor:
    return torch.cat(list(F.pad(cells, (GAP // 2,) * 4, value=255)), dim=2)


def _cells(images: Tensor, side: int) -> Tensor:
    """(B, 3, side, side) uint8; other than 1 or 3 channels are averaged, and what leaves [0, 1] is rescaled to it."""
    images = images.detach().float().cpu()
    if images.shape[1] not in (1, 3):
        images = images.mean(1, keepdim=True)
    if images.min() < -0.01 or images.max() > 1.01:
        low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
        images = (images - low) / (high - low).clamp(min=1e-6)
    enlarged = F.interpolate(images.clamp(0, 1), size=(side, side), mode="nearest")
    return (enlarged * 255).round().to(torch.uint8).expand(-1, 3, -1, -1)


def _with_outline(cell: Tensor, grid: Tensor) -> Tensor:
    """A cell (3, side, side) with the outline of a grid (H', W', 2)."""
    border = torch.cat([grid[0], grid[1:, -1], grid[-1, :-1].flip(0), grid[1:-1, 0].flip(0), grid[:1, 0]])
    finite = border[border.isfinite().all(1)]
    picture = Image.fromarray(cell.permute(1, 2, 0).contiguous().numpy())
    points = normalised_to_pixel(finite.clamp(-10, 10), cell.shape[1:])
    ImageDraw.Draw(picture).line([(x, y) for x, y in points.tolist()], fill=OUTLINE, width=2)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


class WarpPictures(PictureCallback):
    """One TensorBoard picture per spatial transformer and validation: input, input with the sampling grid's outline, output.

    The tag is ``warp/NAME``.

    Args:
        num_images: columns of a picture.
        side: height and width of each cell, in pixels.
    """

    def see(self, trainer: Trainer, images: Tensor, targets: Tensor, output: Output, batch_idx: int) -> None:
        if batch_idx:
            return
        n = self.num_images
        for writer in self.writers(trainer):
            for name, warped in output.warps.items():
                picture = panel(images[:n], Warped(*(part[:n] for part in warped)), self.side)
                writer.add_image(f"warp/{name}", picture, trainer.global_step)
