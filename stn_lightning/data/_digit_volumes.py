"""Handwritten digits as bodies in space."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stn_lightning.data._batches import Raw, check_share, place_of
from stn_lightning.data._distorted_digits import SIDE, DistortedDigits, Source, scaled
from stn_lightning.data._seeds import derived_seed
from stn_lightning.data._sources import Digits
from stn_lightning.samplers import Trilinear
from stn_lightning.transforms import Affine3d

PAPER_SIDE = 60


class Posed(NamedTuple):
    """Digits and how they stand in space.

    Attributes:
        image: (B, 1, 28, 28) uint8.
        pose: (B, 12) theta of ``affine3d``: points of the volume to points of the digit's own box.
        target: (B,) classes.
    """

    image: Tensor
    pose: Tensor
    target: Tensor


class DigitVolumes(DistortedDigits):
    """A digit, extruded and put anywhere in a cube, turned (Jaderberg et al. 2015, appendix A.3).

    A digit of 28x28 pixels becomes a plate of ``depth`` voxels, turned about a random axis by an angle that is uniform, at a
    uniform place at which the digit's 28x28 frame, unturned, lies inside the 60x60x60 voxels of the paper. A smaller ``side``
    shows the same scene with larger voxels. The paper says "extruded and randomly placed"; thickness, angles and places are
    choices of ours. Volumes are (B, 1, side, side, side), 0 outside the digit.

    Volumes are made on the training device, batch by batch: those of training in a new pose at every step, those of validation
    and test in poses drawn once, which do not depend on batches or processes.

    Args:
        source: ``digits`` or ``mnist``, as for ``DistortedDigits``.
        side: voxels along each side of the cube.
        depth: thickness of a digit in voxels of the paper's cube.
        degrees: largest angle, up to 180.
        root: folder of MNIST: the files lie in ``root/MNIST/raw``.
        download: fetch MNIST where it is missing.
        batch_size: volumes in a batch of one process.
        num_validation: training images held out for validation; None for 5,000 of MNIST, 200 of the embedded digits.
        seed: of the order and poses of training images; None for that of ``seed_everything``, or 0.
        evaluation_seed: of the choice of validation images, and of the poses of validation and test images.

    Raises:
        ValueError: for an argument out of range; at setup, for a file that is not MNIST.
        FileNotFoundError: at setup, if MNIST is not there.
    """

    def __init__(
        self,
        source: Source = "digits",
        side: int = PAPER_SIDE,
        depth: int = 8,
        degrees: float = 60.0,
        root: str = "data",
        download: bool = False,
        batch_size: int = 32,
        num_validation: int | None = None,
        seed: int | None = None,
        evaluation_seed: int = 0,
    ) -> None:
        super().__init__(source, "none", root, download, batch_size, num_validation, seed, evaluation_seed)
        if side < 1 or depth < 1 or not 0 <= degrees <= 180:
            raise ValueError(f"expected side and depth above 0, degrees in [0, 180]; got {side=}, {depth=}, {degrees=}")
        self.side, self.depth, self.degrees = side, depth, degrees
        self._poses: dict[str, Tensor] = {}

    @property
    def input_shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """(C, D, H, W) of a volume."""
        return (1, self.side, self.side, self.side)

    def _evaluation(self, split: str) -> Any:
        digits = self._sets[split]
        if split not in self._poses:
            generator = torch.Generator().manual_seed(derived_seed(split, self.evaluation_seed))
            self._poses[split] = poses(len(digits.targets), self.degrees, self.depth, generator)
        return PosedBatches(digits, self._poses[split], self.batch_size, *place_of(self))

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Makes volumes of a batch, on the device where it now lies."""
        if isinstance(batch, Raw):
            generator = torch.Generator(batch.image.device).manual_seed(batch.seed)
            drawn = poses(len(batch.target), self.degrees, self.depth, generator)
            batch = Posed(batch.image, drawn, batch.target)
        if not isinstance(batch, Posed):
            return batch
        return volumes(scaled(batch.image), batch.pose, self.side, self.depth), batch.target


class PosedBatches:
    """Digits in order, each in its pose; under several processes each is seen by one of them.

    Args:
        digits: images and classes.
        poses: (N, 12), one for each.
        batch_size: volumes in a batch of one process.
        rank: number of this process.
        world_size: number of processes.

    Raises:
        ValueError: if there are fewer images than processes.
    """

    def __init__(self, digits: Digits, poses: Tensor, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        check_share(len(digits.targets), world_size)
        whole = digits.images, poses, digits.targets
        self._parts = [torch.split(part[rank::world_size], batch_size) for part in whole]

    def __len__(self) -> int:
        return len(self._parts[0])

    def __iter__(self) -> Iterator[Posed]:
        return map(Posed, *self._parts)


def poses(count: int, degrees: float, depth: int, generator: torch.Generator) -> Tensor:
    """Thetas (count, 12) of ``affine3d``, from the cube to the digit's box of 28x28 pixels and ``depth`` voxels.

    Args:
        count: how many.
        degrees: largest angle.
        depth: thickness of a digit in voxels of the paper's cube.
        generator: source of the random numbers; the poses are on its device.
    """

    def uniform(*shape: int) -> Tensor:
        return 2 * torch.rand(*shape, generator=generator, device=generator.device) - 1

    axis = torch.randn(count, 3, generator=generator, device=generator.device)
    turn = rotation(axis, torch.deg2rad(degrees * uniform(count)))
    place = uniform(count, 3) * (1 - SIDE / PAPER_SIDE)
    box = turn.new_tensor([SIDE, SIDE, depth]) / PAPER_SIDE
    linear = turn / box[:, None]
    return torch.cat([linear, -linear @ place[:, :, None]], dim=2).flatten(1)


def rotation(axis: Tensor, angle: Tensor) -> Tensor:
    """Rotations (B, 3, 3) about axes (B, 3) of any length by angles (B,) in radians: Rodrigues' formula."""
    x, y, z = (axis / torch.linalg.vector_norm(axis, dim=1, keepdim=True)).unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
    sine, cosine = angle.sin().view(-1, 1, 1), angle.cos().view(-1, 1, 1)
    return torch.eye(3, device=axis.device) + sine * cross + (1 - cosine) * (cross @ cross)


def volumes(images: Tensor, poses: Tensor, side: int, depth: int) -> Tensor:
    """Digits (B, 1, 28, 28), extruded and posed: (B, 1, side, side, side)."""
    plates = images[:, :, None].expand(-1, -1, depth, -1, -1)
    grid = _AFFINE.grid(poses, (side, side, side))
    posed: Tensor = _TRILINEAR(plates, grid)
    return posed


_AFFINE, _TRILINEAR = Affine3d(), Trilinear()
