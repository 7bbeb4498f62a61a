"""How the spatial transformers warp, as histograms in units a person reads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from stn_lightning.callbacks._validation import Seen, ValidationCallback
from stn_lightning.geometry import mean_affine
from stn_lightning.spatial_transformer import Warped


def in_words(warped: Warped, input_size: Sequence[int]) -> dict[str, Tensor]:
    """Angle, scale and shift of each warp: of the affine map nearest to its grid.

    Args:
        warped: what a spatial transformer did with a batch.
        input_size: (H, W) of the image, or (L,), or (D, H, W).

    Returns:
        ``angle_degrees``, in (-180, 180], clockwise, of the window in the image (in space that about its axis, in [0, 180]; a
        line has none); ``scale``, side of the window relative to the image's (the root of area or volume);
        ``shift_x_pixels``, ``shift_y_pixels`` and so on of its centre from the image's. Each (B,).
    """
    affine = mean_affine(warped.grid.detach().float())
    ndim = affine.shape[1]
    half = affine.new_tensor(list(input_size)[::-1]) / 2
    size = affine.new_tensor(warped.grid.shape[1:-1][::-1])
    linear = half[:, None] * affine[:, :, :-1] * (2 / size)
    words = {} if ndim == 1 else {"angle_degrees": _angle(linear).rad2deg()}
    words["scale"] = torch.linalg.det(affine[:, :, :-1]).abs() ** (1 / ndim)
    shifts = (half * affine[:, :, -1]).unbind(1)
    return words | {f"shift_{axis}_pixels": shift for axis, shift in zip("xyz", shifts, strict=False)}


def _angle(linear: Tensor) -> Tensor:
    """The angle of the rotation nearest to linear maps (B, ndim, ndim), in radians."""
    if linear.shape[1] == 2:
        return torch.atan2(linear[:, 1, 0] - linear[:, 0, 1], linear[:, 0, 0] + linear[:, 1, 1])
    u, _, vh = torch.linalg.svd(linear)
    turn = u @ vh
    trace = turn.diagonal(dim1=1, dim2=2).sum(1) * torch.linalg.det(turn)  # of a mirrored window, less the mirror
    angle: Tensor = ((trace - 1) / 2).clamp(-1, 1).acos()
    return angle


class WarpStatistics(ValidationCallback):
    """TensorBoard histograms per spatial transformer and validation: theta, and angle, scale and shift of its warps.

    They are of the validation images that the first process sees; the tags are ``warp_NAME/angle_degrees`` and so on, and
    ``theta_NAME/00``, ``theta_NAME/01``, ...

    Args:
        max_parameters: the most parameters of theta that are shown.
    """

    def __init__(self, max_parameters: int = 8) -> None:
        if max_parameters < 0:
            raise ValueError(f"expected max_parameters of at least 0, got {max_parameters}")
        self.max_parameters = max_parameters
        self._seen: dict[str, list[Tensor]] = {}

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._seen = {}

    def see(self, trainer: Trainer, pl_module: LightningModule, batch: Seen) -> None:
        for name, warped in batch.output.warps.items():
            values = {f"warp_{name}/{unit}": v for unit, v in in_words(warped, batch.images.shape[2:]).items()}
            shown = warped.theta.detach()[:, : self.max_parameters].unbind(1)
            values |= {f"theta_{name}/{i:02}": v for i, v in enumerate(shown)}
            for tag, value in values.items():
                self._seen.setdefault(tag, []).append(value.float().cpu())

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for writer in self.writers(trainer):
            for tag, parts in self._seen.items():
                values = torch.cat(parts)
                values = values[values.isfinite()]
                if len(values):
                    writer.add_histogram(tag, values, trainer.global_step)
