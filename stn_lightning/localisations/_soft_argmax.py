"""Localisation net that points at what it finds in a feature map."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stn_lightning.backbones import SMALL
from stn_lightning.geometry import regular_points, without_autocast
from stn_lightning.localisations._backbone import downsampled_map
from stn_lightning.localisations._localisation import Localisation, Regression

SPREAD = 0.5  # of the prior
SHIFTING = {
    2: (0, 1),
    3: (1, 2),
    4: (2, 3),
    6: (2, 5),
    8: (2, 5),
}  # of translation to projective, by their number of parameters


class SoftArgmax(Localisation):
    """A classifier up to its last feature map, one map of attention for each head, and the place that it attends to.

    The soft arg-max, also spatial softmax, of Levine et al. 2016 (Journal of Machine Learning Research 17, section 5.2): the
    mean place under a softmax over places. The same weights look at every place: what attracts a window is learnt, not how a
    place becomes a number, and from far fewer images than a fully connected layer needs.

    At the start attention depends on the place alone: it is a normal distribution around the initial window's centre, of
    standard deviation 0.5, a quarter of the image's side. Where attention goes from there, the window goes: the shift of its
    mean place is added to the parameters of theta that shift, the last two of ``translation``, ``attention`` and
    ``similarity``, the third and sixth of ``affine`` and ``projective``. A linear layer, which is learnt, begins so.

    Args:
        input_shape: (3, H, W) of the images.
        initial: (K, P) thetas at the start.
        backbone: ``small``, ``tiny``, or a classifier of torchvision by its name, such as ``googlenet``.
        weights: name of torchvision's weights, or a file; None for random ones.
        downsample: factor of the average pooling at the input; 1 for none.
        sharpness: factor of the maps before the softmax, above 0: how fast attention narrows, relative to the rest of the net.

    Raises:
        ValueError: if an argument is out of range, thetas have another number of parameters, or the images do not fit.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        initial: Tensor,
        backbone: str = SMALL,
        weights: str | None = None,
        downsample: int = 1,
        sharpness: float = 4.0,
    ) -> None:
        super().__init__(input_shape, initial)
        heads, params = initial.shape
        if not sharpness > 0:
            raise ValueError(f"expected sharpness above 0, got {sharpness}")
        if params not in SHIFTING:
            raise ValueError(
                f"expected thetas of {', '.join(map(str, SHIFTING))} parameters, of which two shift; got {params}"
            )
        self.feature_map, (features, *size) = downsampled_map(self.input_shape, backbone, weights, downsample)
        attention = nn.Conv2d(features, heads, 1, bias=False)
        nn.init.zeros_(attention.weight)
        shifting = list(SHIFTING[params])
        self.trunk = nn.Sequential(attention, _MeanPlace(size, sharpness, initial[:, shifting].float()))
        self.head = Regression(2 * heads, initial)
        with torch.no_grad():
            weight = self.head.weight.view(heads, params, heads, 2)
            for head in range(heads):
                for axis, parameter in enumerate(shifting):
                    weight[head, parameter, head, axis] = 1


class _MeanPlace(nn.Module):
    """How far the mean place under the softmax of each of K maps has gone from that of the prior alone.

    Maps (B, K, h, w) are added to a prior, which is learnt and begins around each of ``centres`` (K, 2), and multiplied by
    ``sharpness``; shifts are (B, K * 2), normalised.
    """

    points: Tensor
    start: Tensor

    def __init__(self, size: Sequence[int], sharpness: float, centres: Tensor) -> None:
        super().__init__()
        self.sharpness = sharpness
        points = regular_points(size).float()
        distances = (points - centres[:, None]).square().sum(2)
        self.prior = nn.Parameter(distances / (-2 * SPREAD**2 * sharpness))
        self.register_buffer("points", points, persistent=False)
        self.register_buffer("start", (sharpness * self.prior.detach()).softmax(1), persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        maps = maps.flatten(2).to(torch.promote_types(maps.dtype, torch.float32))
        moved = (self.sharpness * (maps + self.prior)).softmax(2) - self.start
        with without_autocast(maps.device.type):
            shifts: Tensor = moved @ self.points.to(moved.dtype)
        return shifts.flatten(1)
