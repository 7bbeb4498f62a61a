"""Spatial transformers in a row that read the original input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from torch import Tensor, nn

from stn_lightning.localisations import Localisation
from stn_lightning.plugins import PluginError
from stn_lightning.samplers import Sampler
from stn_lightning.spatial_transformer._layer import Layer, Warped
from stn_lightning.transforms import Transform, registry


class SpatialTransformerChain(Layer):
    """Spatial transformers in a row, whose transforms are composed: inverse compositional STNs (Lin & Lucey 2017).

    Each step sees what the steps before made of the input, and its theta is composed with theirs. The input itself is sampled
    by the product, so that no picture is sampled twice, and what one step has cut off the next one can bring back:
    ``theta_n = compose(theta_(n-1), net_n(sampler(x, grid(theta_(n-1)))))``, and ``theta_1 = net_1(x)``.

    Convention:
        theta maps target (output) to source (input) points; [-1, 1] spans the image; one ``align_corners`` for both parts.

    Args:
        localisations: for each step a net with one head for the input's shape; a net that stands there N times is shared by N
            steps, as in the reference.
        transform: theta to grid; one that composes, see ``Transform``.
        sampler: feature map and grid to output.
        output_size: (H', W') of the output; that of the input where None. What the steps see has the size of the input.
        align_corners: whether -1 and 1 are the centres of the corner pixels, or their outer edges (False).

    Raises:
        ValueError: if the parts do not fit together, or the transform does not compose.
    """

    def __init__(
        self,
        localisations: Sequence[Localisation],
        transform: Transform,
        sampler: Sampler,
        output_size: Sequence[int] | None = None,
        align_corners: bool = False,
    ) -> None:
        nets = list(localisations)
        super().__init__(nets, transform, sampler, output_size, align_corners)
        for i, net in enumerate(nets, 1):
            if net.num_heads != 1:
                raise ValueError(f"expected localisations with one head each, got {net.num_heads} in that of step {i}")
        shapes = {net.input_shape for net in nets}
        if len(shapes) > 1:
            raise ValueError(f"expected localisations for one shape, got {', '.join(map(str, sorted(shapes)))}")
        self.localisations = nn.ModuleList(nets)
        _check_composes(transform)

    def forward(self, x: Tensor) -> Warped:
        """What the whole chain makes of its input: output, theta and grid of the product of all steps.

        Args:
            x: (B, C, *size) feature map.

        Raises:
            ValueError: if the localisation nets are built for another shape.
        """
        return self.warp(x, self._thetas(x)[-1])

    def steps(self, x: Tensor) -> tuple[Warped, ...]:
        """What the chain makes of its input up to each step; the last one is that of ``forward``.

        Args:
            x: (B, C, *size) feature map.

        Raises:
            ValueError: if the localisation nets are built for another shape.
        """
        return tuple(self.warp(x, theta) for theta in self._thetas(x))

    def _thetas(self, x: Tensor) -> list[Tensor]:
        """Theta (B, P) of the product up to each step."""
        first, *others = self.localisations
        thetas: list[Tensor] = [first(x)[:, 0]]
        for net in others:
            grid = self.transform.grid(thetas[-1], x.shape[2:], self.align_corners)
            theta: Tensor = net(self.sampler(x, grid, self.align_corners))[:, 0]
            thetas.append(self._composed(thetas[-1], theta))
        return thetas

    def _composed(self, outer: Tensor, inner: Tensor) -> Tensor:
        compose: Callable[[Tensor, Tensor], Tensor] = self.transform.compose  # type: ignore[assignment]
        if outer.device.type == "mps":  # has no float64
            return compose(outer, inner)
        return compose(outer.double(), inner.double()).to(outer.dtype)  # a float32 product may be rounded to TF32


def _check_composes(transform: Transform) -> None:
    name, compose = type(transform).__name__, getattr(transform, "compose", None)
    if compose is None:
        raise ValueError(f"expected a transform that composes, one of {', '.join(_composing(transform.ndim))}; got {name}")
    start = transform.identity()[None]
    try:
        compose(start, start)
    except ValueError as e:
        raise ValueError(f"expected a transform that composes, got {name}: {e}") from e


def _composing(ndim: int) -> list[str]:
    """The names of the transforms that have ``compose``."""
    able = []
    for name in registry:
        with suppress(PluginError):
            cls: type[Transform] = registry[name]
            if cls.ndim == ndim and hasattr(cls, "compose"):
                able.append(name)
    return able
