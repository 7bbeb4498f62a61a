"""Spatial transformers in a row or side by side: what reaches each of them, and where in the input it looks."""

from __future__ import annotations

from collections.abc import Mapping

from lightning.pytorch import LightningModule
from torch import Tensor

from stn_lightning.geometry import composed_grid, normalised_to_pixel, pixel_to_normalised
from stn_lightning.networks import INPUT
from stn_lightning.samplers import multilinear
from stn_lightning.spatial_transformer import Warped

OVERSHOOT = 0.25


def in_a_row(warps: Mapping[str, Warped]) -> list[str]:
    """The names of the transformers of which each sees what the one before made, from the input inwards.

    Parallel transformers see the same: they have numbers, ``input.1``, ``input.2``.
    """
    return [name for name in warps if "." not in name]


def parallel(images: Tensor, warps: Mapping[str, Warped]) -> dict[str, dict[str, Warped]]:
    """The warps of parallel transformers: by what their names share, and then by their number.

    Their outputs are cut out of the images anew, by bilinear interpolation, black outside: what the transformers made has the
    colours of the images no more where the network standardises them.

    Args:
        images: (B, C, H, W) in [0, 1].
        warps: what transformers made of them; grids are as ``align_corners=False`` has them (see ``half_pixel``).
    """
    found: dict[str, dict[str, Warped]] = {}
    for name, warped in warps.items():
        shared, dot, number = name.rpartition(".")
        if dot:
            part = seen(images, warped.grid.detach().float().cpu())
            found.setdefault(shared, {})[number] = warped._replace(output=part)
    return found


def has_align_corners(module: LightningModule) -> bool:
    """Whether the transformers of a task have -1 and 1 at the centres of the corner pixels, by its hyper-parameters."""
    return bool(module.hparams.get("align_corners", False))


def half_pixel(images: Tensor, warps: Mapping[str, Warped], align_corners: bool) -> dict[str, Warped]:
    """Warps whose grids are as ``align_corners=False`` has them: -1 and 1 are the outer edges of the corner pixels.

    Args:
        images: (B, C, H, W).
        warps: what transformers made of them, or of feature maps; a transformer inside the network keeps the size of its map.
        align_corners: the setting of the transformers.
    """
    if not align_corners:
        return dict(warps)
    sizes = {name: images.shape[2:] if name.startswith(INPUT) else warped.grid.shape[1:-1] for name, warped in warps.items()}
    return {
        name: warped._replace(grid=pixel_to_normalised(normalised_to_pixel(warped.grid, sizes[name], True), sizes[name]))
        for name, warped in warps.items()
    }


def paths(images: Tensor, warps: Mapping[str, Warped]) -> dict[str, Tensor]:
    """Where in the image the points of each transformer's output lie: its warp after all before it.

    Grids are as ``align_corners=False`` has them (see ``half_pixel``), and what stands between two transformers keeps
    normalised coordinates (see ``composed_grid``).

    Args:
        images: (B, C, H, W).
        warps: what transformers in a row made of them, from the input inwards.

    Returns:
        For each name (B, H, W, 2) normalised points of the image, whatever the size of the feature map.
    """
    grids = [warped.grid.detach().float().cpu() for warped in warps.values()]
    return {name: composed_grid(grids[:i], images.shape[2:]) for i, name in enumerate(warps, 1)}


def seen(images: Tensor, path: Tensor) -> Tensor:
    """Images (B, C, *size) on the CPU as they appear at the end of a path (B, *size', ndim): bilinear, black outside."""
    sampled: Tensor = multilinear(path.shape[-1])(images.detach().float().cpu(), path)
    return sampled


def shown_output(name: str, images: Tensor, warped: Warped) -> Tensor:
    """The output of a transformer as a picture shows it best: (B, C, H', W').

    A feature map has no units: its mean over channels is shown, over its own range. A transformer at the input makes images.
    They are shown as they are, for they also show what the sampler does; unless the network standardises its images, so that
    the colours are no longer those of the image: then the image is sampled instead. The kernels of samplers leave [0, 1] by
    less than ``OVERSHOOT``, standardised images by more.
    """
    output = warped.output.detach().float().cpu()
    if name != INPUT or output.shape[1] != images.shape[1]:
        mean = output.mean(1, keepdim=True)
        axes = tuple(range(1, mean.ndim))
        low, high = mean.amin(axes, keepdim=True), mean.amax(axes, keepdim=True)
        return (mean - low) / (high - low).clamp(min=1e-6)
    if images.ndim == 4 and (output.min() < -OVERSHOOT or output.max() > 1 + OVERSHOOT):
        return seen(images, warped.grid.detach().float().cpu())
    return output.clamp(0, 1) if images.min() >= 0 and images.max() <= 1 else output
