"""One image with all that transformers do to it, and a sheet of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from stn_lightning.callbacks import captions, in_words
from stn_lightning.callbacks._drawing import GAP, ORANGE, cells, outlined, stacked
from stn_lightning.callbacks._in_a_row import in_a_row, parallel, paths, seen, shown_output
from stn_lightning.callbacks._prediction_pictures import titled
from stn_lightning.callbacks._samples import joined
from stn_lightning.callbacks._text import legend
from stn_lightning.callbacks._views import THIN, Views, columns, part_views, path_views, step_colours
from stn_lightning.networks import INPUT
from stn_lightning.showing._gallery import Sample
from stn_lightning.spatial_transformer import Warped

LINES = 7  # of a sampling grid, each way
HEADING = 24


def picture(sample: Sample, side: int = 288) -> Tensor:
    """An image: as it is, with the sampling grid of each transformer, and the output; below what the transforms do, in words.

    The grid of a transformer in a row lies where its output lies in the image. Of parallel transformers the picture has the
    windows, and what is in each.

    Args:
        sample: the image.
        side: height and width of each cell, in pixels.

    Returns:
        (3, H, W) uint8.
    """
    views, grids = _views(sample.image[None], sample.warps, side)
    size = sample.image.shape[1:]
    words = {f"{name}: {', shift '.join(_words(grids[name], size, 0))}": colour for name, colour in views.colours.items()}
    return titled(views._replace(colours=words), 0, _title(sample))


def sheet(groups: Mapping[str, Sequence[Sample]], title: str, side: int = 132) -> Tensor:
    """Kinds of images one below the other, a column an image: the image, the outlines, the output, the transform in words.

    Args:
        groups: images of each kind, at least one; captions are ``target > predicted`` and the probability of the prediction.
        title: stands above.
        side: height and width of each cell, in pixels.

    Returns:
        (3, H, W) uint8.
    """
    blocks = [_block(samples, side) for samples in groups.values()]
    width = max(block.shape[2] for block in blocks)
    parts = [captions([title], width - GAP, HEADING)]
    for kind, block in zip(groups, blocks, strict=True):
        bar = torch.full((3, GAP, width), 224, dtype=torch.uint8)
        parts += [bar, captions([kind], width - GAP, HEADING), F.pad(block, (0, width - block.shape[2]), value=255)]
    return stacked(parts)


def _block(samples: Sequence[Sample], side: int) -> Tensor:
    images, warps = torch.stack([s.image for s in samples]), joined([s.warps for s in samples])
    order = in_a_row(warps)
    parts = next(iter(parallel(images, warps).values()), {})
    outlines = paths(images, {name: warps[name] for name in order})
    views = path_views(images, outlines, side) if order else part_views(images, parts, side)
    heading = [captions([_verdict(s) for s in samples], side), captions([f"{s.confidence:.3f}" for s in samples], side)]
    if not order:
        return stacked([*heading, columns(views)])
    last = order[-1]
    warped = warps[last]._replace(grid=outlines[last])
    lines = zip(*(_words(warped, images.shape[2:], i) for i in range(len(samples))), strict=True)
    words = [captions(line, side) for line in lines]
    pictures = columns(views._replace(colours={}))
    return stacked([*heading, pictures, *words, legend(views.colours, pictures.shape[2])])


def _views(images: Tensor, warps: Mapping[str, Warped], side: int) -> tuple[Views, Mapping[str, Warped]]:
    """Cells, and the warps that they show, with grids in the image."""
    order = in_a_row(warps)
    if not order:
        parts = next(iter(parallel(images, warps).values()), {})
        return part_views(images, parts, side), parts
    outlines = paths(images, {name: warps[name] for name in order})
    plain, line = cells(images, side), max(1.0, side / THIN)
    colours = step_colours(order[:-1]) | {order[-1]: ORANGE}
    drawn = [outlined(plain, outlines[name], colour, line, lines=LINES) for name, colour in colours.items()]
    alone = order == [INPUT]
    output = shown_output(INPUT, images, warps[INPUT]) if alone else seen(images, outlines[order[-1]])
    grids = {name: warps[name]._replace(grid=outlines[name]) for name in order}
    return Views([plain, *drawn, cells(output, side)], colours), grids


def _title(sample: Sample) -> str:
    verdict = f"{_verdict(sample)}{', wrong' if sample.wrong else ''}"
    return f"{verdict}, confidence {sample.confidence:.3f} ({sample.name or f'image {sample.number}'})"


def _verdict(sample: Sample) -> str:
    return sample.predicted if sample.target is None else f"{sample.target} > {sample.predicted}"


def _words(warped: Warped, size: Sequence[int], i: int) -> list[str]:
    """Angle and scale, and shift, of the i-th warp of a batch; a line of a signal has no angle."""
    units = in_words(warped, size)
    angle = [f"{units['angle_degrees'][i]:+z.0f}°"] if "angle_degrees" in units else []
    shift = ", ".join(f"{value[i]:+z.1f}" for unit, value in units.items() if unit.startswith("shift_"))
    return [", ".join([*angle, f"scale {units['scale'][i]:.2f}"]), f"({shift}) px"]
