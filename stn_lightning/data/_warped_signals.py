"""Signals whose time is warped."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

from stn_lightning.data._made_anew import MadeAnew
from stn_lightning.data._seeds import derived_seed
from stn_lightning.data._sources import Digits
from stn_lightning.geometry import regular_points
from stn_lightning.samplers import Linear
from stn_lightning.transforms import Affine1d

CLASSES, HARMONICS, SAMPLES = 10, 6, 64


class WarpedSignals(MadeAnew):
    """Signals of ten shapes, stretched, shifted and bent in time, in noise.

    Data of ours. A shape is ``sum_k a_k sin(k pi (u + 1) / 2)``, k = 1 to 6, for u in [-1, 1], with fixed normal numbers a_k
    and a mean square of 1; elsewhere it is 0. It takes a share of the signal that is uniform between ``shortest`` and 1, at a
    uniform place inside, and its time is bent: u + b (1 - u^2), b uniform between -``bend`` and ``bend``. Signals are
    (B, 1, length), made on the training device: those of training anew at every step, those of validation and test once.

    Args:
        length: samples of a signal.
        shortest: the smallest share of a signal that its shape takes, in (0, 1].
        bend: how much time is bent, in [0, 0.5): at 0.5 it would stand still.
        noise: standard deviation of the noise.
        num_training: signals of an epoch.
        num_evaluated: signals of validation, and of test.
        batch_size: signals in a batch of one process.
        seed: of the training signals; None for that of ``seed_everything``, or 0.
        evaluation_seed: of validation and test signals.

    Raises:
        ValueError: for an argument out of range.
    """

    def __init__(
        self,
        length: int = 128,
        shortest: float = 0.25,
        bend: float = 0.3,
        noise: float = 0.5,
        num_training: int = 20_000,
        num_evaluated: int = 5_000,
        batch_size: int = 128,
        seed: int | None = None,
        evaluation_seed: int = 0,
    ) -> None:
        super().__init__(batch_size, seed, evaluation_seed)
        if not (0 < shortest <= 1 and 0 <= bend < 0.5 and noise >= 0):
            raise ValueError(
                f"expected shortest in (0, 1], bend in [0, 0.5), noise of at least 0; got {shortest=}, {bend=}, {noise=}"
            )
        if min(length, num_training, num_evaluated) < 1:
            raise ValueError(
                f"expected length, num_training and num_evaluated above 0; got {length=}, {num_training=}, {num_evaluated=}"
            )
        self.length, self.shortest, self.bend, self.noise = length, shortest, bend, noise
        self.num_training, self.num_evaluated = num_training, num_evaluated

    @property
    def input_shape(self) -> tuple[int, int]:
        """(C, L) of a signal."""
        return (1, self.length)

    @property
    def num_classes(self) -> int:
        """Number of shapes."""
        return CLASSES

    def parts(self, split: str) -> Digits:
        targets = torch.arange(self.num_training if split == "train" else self.num_evaluated) % CLASSES
        return Digits(shapes()[targets], targets)

    def made(self, parts: Tensor, generator: torch.Generator) -> Tensor:
        """Shapes (B, 1, 64) as signals (B, 1, length)."""

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(len(parts), generator=generator, device=parts.device)

        share = uniform(self.shortest, 1.0)
        place = uniform(-1.0, 1.0) * (1 - share)
        u = _AFFINE.grid(torch.stack([1 / share, -place / share], dim=1), (self.length,))
        bent = torch.where(u.abs() < 1, u + uniform(-self.bend, self.bend).view(-1, 1, 1) * (1 - u * u), u)
        noise = torch.randn(len(parts), 1, self.length, generator=generator, device=parts.device)
        signals: Tensor = _LINEAR(parts, bent)
        return signals + self.noise * noise


def shapes() -> Tensor:
    """The ten shapes (10, 1, 64), the same for everybody."""
    generator = torch.Generator().manual_seed(derived_seed("shapes"))
    amplitudes = torch.randn(CLASSES, HARMONICS, generator=generator, dtype=torch.float64)
    u = regular_points((SAMPLES,))[:, 0]
    waves = torch.stack([(k * pi * (u + 1) / 2).sin() for k in range(1, HARMONICS + 1)])
    found = amplitudes @ waves
    return (found / found.square().mean(1, keepdim=True).sqrt()).float()[:, None]


_AFFINE, _LINEAR = Affine1d(), Linear()
