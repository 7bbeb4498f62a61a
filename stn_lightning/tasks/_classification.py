"""Classification of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stn_lightning import localisations
from stn_lightning.component import class_of
from stn_lightning.networks import CNN, Network
from stn_lightning.samplers import Sampler
from stn_lightning.tasks._classifier import Classifier
from stn_lightning.tasks._transformers import LocalisationFactory, transformer_factory
from stn_lightning.transforms import Transform

NetworkFactory = Callable[[tuple[int, ...], int, Any], Network]


class Classification(Classifier):
    """Classification by a network with or without a spatial transformer (Jaderberg et al. 2015, section 4.1).

    Logs ``loss`` and ``error`` (share of wrong predictions) under ``train/``, ``val/`` and ``test/``.

    Args:
        input_shape: (C, H, W) of an image; the CLI takes it from the data.
        num_classes: number of classes; the CLI takes it from the data.
        network: makes the network of (input_shape, num_classes, transformer); None for ``CNN``.
        transform: transform of the spatial transformer, by registry name or class path; None for a network without.
        localisation: makes the localisation net of (input_shape, initial); None for the paper's with this network:
            ``conv`` with CNN, ``fc`` with FCN.
        sampler: sampler of the spatial transformer; None for ``bilinear``.
        initial: theta at the start, or one number, the scale of a central window: 0.5 zooms in on half of the image's
            height and width. None for ``transform.initial()``, the identity unless the transform says otherwise.
        output_size: (H', W') of the warped feature map, or (L',) or (D', H', W'); None for that of the input.
        align_corners: whether -1 and 1 are the centres of the corner pixels, or their outer edges (False).
        label_smoothing: label smoothing of the cross-entropy, in [0, 1).
        heads: spatial transformers side by side at each placement, each with a localisation net of its own; what they make
            of a feature map is concatenated along the channels (the paper's 2xST-FCN has 2, appendix A.1).
        steps: spatial transformers in a chain at each placement, whose transforms are composed: see
            ``SpatialTransformerChain``.
        shared: whether the steps of a chain share one localisation net, as in inverse compositional STNs, and each begins at
            ``initial``; or each has its own, and those after the first begin at the identity.
        **kwargs: those of ``Task``.

    Raises:
        ValueError: for parts that do not fit together, or a spatial transformer's argument without a transform.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        num_classes: int,
        network: NetworkFactory | None = None,
        transform: Transform | None = None,
        localisation: LocalisationFactory | None = None,
        sampler: Sampler | None = None,
        initial: float | list[float] | None = None,
        output_size: tuple[int, ...] | None = None,
        align_corners: bool = False,
        label_smoothing: float = 0.0,
        heads: int = 1,
        steps: int = 1,
        shared: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, label_smoothing, **kwargs)
        parts = {"localisation": localisation, "sampler": sampler, "initial": initial, "output_size": output_size}
        idle = [name for name, part in parts.items() if part is not None] + ["align_corners"] * align_corners
        idle += [name for name, number in {"heads": heads, "steps": steps}.items() if number != 1]
        if transform is None and idle:
            raise ValueError(f"expected a transform with {', '.join(idle)}, got none: give --model.transform or null them")
        build = network if network is not None else CNN
        transformer = None
        if transform is not None:
            localise = localisation if localisation is not None else _usual_localisation(build)
            transformer = transformer_factory(
                transform, localise, sampler, initial, output_size, align_corners, heads, steps, shared
            )
        self.network = build(tuple(input_shape), num_classes, transformer)


def _usual_localisation(network: Any) -> LocalisationFactory:
    cls = class_of(network)
    name = cls.localisation if cls is not None and issubclass(cls, Network) else CNN.localisation
    return localisations.registry[name]
