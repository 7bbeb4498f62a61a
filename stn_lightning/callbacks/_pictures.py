"""What the spatial transformers look at, as pictures."""

from __future__ import annotations

from collections.abc import Mapping

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from stn_lightning.callbacks._drawing import ORANGE, STEPS, Colour, cells, legend, outlined, row, stacked
from stn_lightning.callbacks._in_a_row import in_a_row, paths, seen, shown_output
from stn_lightning.callbacks._validation import PictureCallback
from stn_lightning.networks import Output
from stn_lightning.spatial_transformer import Warped

PRODUCT = "product"
THIN = 144  # pixels of a cell to one of a thin line


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
    rows = [inputs, outlined(inputs, warped.grid), cells(warped.output, side)]
    return stacked(row(each) for each in rows[0 if plain_row else 1 :])


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
    inputs = cells(images, side)
    drawn, colours = with_path(inputs, outlines)
    rows = [inputs, drawn, cells(seen(images, list(outlines.values())[-1]), side)]
    parts = [row(each) for each in rows[0 if plain_row else 1 :]]
    return stacked([*parts, legend(colours, parts[0].shape[2])])


def with_path(inputs: Tensor, outlines: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Colour]]:
    """Cells with the outline after each transformer, the last thicker and on top, and what each colour means."""
    thin = max(1.0, inputs.shape[-1] / THIN)
    *steps, last = outlines
    colours = {name: STEPS[i % len(STEPS)] for i, name in enumerate(steps)}
    for name, colour in colours.items():
        inputs = outlined(inputs, outlines[name], colour, thin)
    inputs = outlined(inputs, outlines[last], ORANGE, 2 * thin)
    return inputs, colours | {f"{last} = {PRODUCT}" if steps else last: ORANGE}


def warp_pictures(images: Tensor, warps: Mapping[str, Warped], side: int = 84, plain_row: bool = True) -> dict[str, Tensor]:
    """A picture of each spatial transformer by its name, and of the product of those in a row as ``product``.

    A transformer is drawn on the image as it reaches that transformer: warped by those before it.

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
    for name, warped in warps.items():
        reaching = seen(images, outlines[before[name]]) if name in before else images
        pictures[name] = panel(reaching, warped._replace(output=shown_output(name, reaching, warped)), side, plain_row)
    return pictures | ({PRODUCT: product_panel(images, outlines, side, plain_row)} if len(order) > 1 else {})


class WarpPictures(PictureCallback):
    """One TensorBoard picture per spatial transformer and validation: input, input with the sampling grid's outline, output.

    The tag is ``warp/NAME``. Of transformers in a row each is drawn on the image as those before it have warped it, and
    ``warp/product`` shows the product of all on the image: the outline after each of them, and what the deepest layer
    looks at.

    Args:
        num_images: columns of a picture.
        side: height and width of each cell, in pixels.
    """

    def see(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        images: Tensor,
        targets: Tensor,
        output: Output,
        batch_idx: int,
    ) -> None:
        writers = list(self.writers(trainer))
        if batch_idx or not writers:
            return
        n = self.num_images
        warps = {name: Warped(*(part[:n] for part in warped)) for name, warped in output.warps.items()}
        pictures = warp_pictures(images[:n], warps, self.side)
        for writer in writers:
            for name, picture in pictures.items():
                writer.add_image(f"warp/{name}", picture, trainer.global_step)
