"""What the spatial transformers look at, as pictures."""

from __future__ import annotations

from collections.abc import Mapping

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from stn_lightning.callbacks._drawing import cells, outlined
from stn_lightning.callbacks._in_a_row import in_a_row, parallel, paths, seen, shown_output
from stn_lightning.callbacks._validation import PictureCallback, Seen
from stn_lightning.callbacks._views import PRODUCT, Views, columns, part_views, path_views
from stn_lightning.spatial_transformer import Warped


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
    inputs = cells(images, side)
    return columns(Views([inputs, outlined(inputs, warped.grid), cells(warped.output, side)], {}), plain_row)


def product_panel(images: Tensor, outlines: Mapping[str, Tensor], side: int = 84, plain_row: bool = True) -> Tensor:
    """One column an image: the input, the input with the outline after each transformer, and what the deepest layer looks at.

    The product of all is drawn last and thicker, and the image is sampled by it (Jaderberg et al. 2015, Table 2, right).

    Args:
        images: (B, C, H, W) in [0, 1], with 1 or 3 channels.
        outlines: for each transformer in a row, from the input inwards, (B, H', W', 2): the normalised points of the image
            where its output lies, as ``paths`` gives them.
        side: height and width of each cell, in pixels.
        plain_row: whether the first row, the input without outline, is shown.

    Returns:
        (3, H'', W'') uint8 picture, with a legend below.
    """
    return columns(path_views(images, outlines, side), plain_row)


def warp_pictures(images: Tensor, warps: Mapping[str, Warped], side: int = 84, plain_row: bool = True) -> dict[str, Tensor]:
    """A picture of each spatial transformer by its name, and of the product of those in a row as ``product``.

    A transformer is drawn on the image as it reaches that transformer: warped by those before it. Parallel transformers have
    one picture, by what their names share: that of ``input.1`` and ``input.2`` is ``input``.

    Args:
        images: (B, C, H, W) in [0, 1].
        warps: what the transformers made of these images.
        side: height and width of each cell, in pixels.
        plain_row: whether the first row, without outlines, is shown.
    """
    images = images.detach().float().cpu()
    order = in_a_row(warps)
    outlines = paths(images, {name: warps[name] for name in order})
    before = dict(zip(order[1:], order, strict=False))
    pictures = {}
    for name in order:
        reaching = seen(images, outlines[before[name]]) if name in before else images
        shown = warps[name]._replace(output=shown_output(name, reaching, warps[name]))
        pictures[name] = panel(reaching, shown, side, plain_row)
    if len(order) > 1:
        pictures[PRODUCT] = product_panel(images, outlines, side, plain_row)
    parts = parallel(images, warps).items()
    return pictures | {name: columns(part_views(images, those, side), plain_row) for name, those in parts}


class WarpPictures(PictureCallback):
    """One TensorBoard picture per spatial transformer and validation: input, input with the sampling grid's outline, output.

    The tag is ``warp/NAME``. Of transformers in a row each is drawn on the image as those before it have warped it, and
    ``warp/product`` shows the product of all on the image: the outline after each of them, and what the deepest layer
    looks at. Parallel transformers have one picture, ``warp/input``: the image, the image with the window of each in a colour
    of its own, and a row for each: what is in its window, in the colours of the image and a frame of the window's; a legend
    says which colour is whose.

    Args:
        num_images: columns of a picture.
        side: height and width of each cell, in pixels.
    """

    def see(self, trainer: Trainer, pl_module: LightningModule, batch: Seen) -> None:
        writers = list(self.writers(trainer))
        if batch.batch_idx or not writers:
            return
        n = self.num_images
        warps = {name: Warped(*(part[:n] for part in warped)) for name, warped in batch.output.warps.items()}
        pictures = warp_pictures(batch.images[:n], warps, self.side)
        for writer in writers:
            for name, picture in pictures.items():
                writer.add_image(f"warp/{name}", picture, trainer.global_step)
