"""Feature maps of image classifiers: those of torchvision by their names, and two small ones for laptops."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

SMALL = "small"
PLANES = {SMALL: (16, 32, 64, 128), "tiny": (8, 8, 16, 32)}  # by the name of a backbone of our own
# where the last feature map is, by torchvision's names of modules; of channels-last ones, behind the permutation
LAST_MAPS = ("permute", "features", "layer4", "inception5b", "Mixed_7c", "trunk_output", "conv5", "layers")
DESCRIPTION = "network.descriptions.0."  # the first, in a checkpoint of PartsClassification
_left_out = ContextVar("left out", default=False)


@contextmanager
def initial_weights_left_out() -> Iterator[None]:
    """A context in which no ``weights`` are read or fetched: those of a checkpoint take their place anyway."""
    before = _left_out.set(True)
    try:
        yield
    finally:
        _left_out.reset(before)


class FeatureMap(nn.Module):
    """The last feature map of a classifier: all of it but pooling and classifier.

    Args:
        name: a classifier of torchvision, such as ``googlenet`` or ``resnet50``; or ``small``, a residual network of four
            blocks and 0.3 million parameters, which halves its maps by pooling; or ``tiny``, the same with 0.02 million.
        weights: name of torchvision's weights, such as ``DEFAULT`` or ``IMAGENET1K_V1``, fetched where they are missing; or a
            file: a ``state_dict`` of the classifier, or a checkpoint of ``PartsClassification`` of the same backbone,
            whose first description is taken; None for random ones.

    Attributes:
        name: of the classifier.

    Raises:
        ValueError: for an unknown name, one without a feature map, or weights that are not its own.
        FileNotFoundError: for a file of weights that is not there.
    """

    def __init__(self, name: str = SMALL, weights: str | None = None) -> None:
        super().__init__()
        self.name = name
        weights = None if _left_out.get() else weights
        published = () if name in PLANES else _published(name)
        file = None if weights is None or weights in published else Path(weights)
        kept = None if file is None else _read(file, name, published)
        self.body = _small(*PLANES[name]) if name in PLANES else _of_torchvision(name, weights if file is None else None)
        if file is not None and kept is not None:
            with _naming(file, name):
                self.body.load_state_dict({key: value for key, value in kept.items() if key in self.body.state_dict()})

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) images, or grey ones (B, 1, H, W), to (B, C, h, w)."""
        found: Any = self.body(images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images)
        feature_map: Tensor = found["map"] if isinstance(found, dict) else found
        return feature_map

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        """(C, h, w) of the map of images (C, H, W).

        Raises:
            ValueError: for images that are too small.
        """
        training = self.training
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                return tuple(self.eval()(torch.zeros(1, *input_shape)).shape[1:])
        except RuntimeError as e:
            raise ValueError(f"images of shape {tuple(input_shape)} do not fit backbone {self.name!r}: {e}") from e
        finally:
            self.train(training)


def _small(first: int, *others: int) -> nn.Module:
    """Pools where others have a stride: it learns small marks faster, and its loss depends on their place smoothly."""
    from torchvision.models.resnet import BasicBlock

    stem = [nn.Conv2d(3, first, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(first), nn.ReLU()]
    blocks: list[nn.Module] = [BasicBlock(first, first)]
    for inputs, planes in pairwise((first, *others)):
        shortcut = nn.Sequential(nn.Conv2d(inputs, planes, 1, bias=False), nn.BatchNorm2d(planes))
        blocks += [nn.AvgPool2d(2), BasicBlock(inputs, planes, downsample=shortcut)]
    body = nn.Sequential(*stem, *blocks)
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return body.to(memory_format=torch.channels_last)  # faster on a CPU, the same result


def _published(name: str) -> tuple[str, ...]:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        ours = " or ".join(map(repr, PLANES))
        raise ValueError(f"expected backbone {ours}, or a classifier of torchvision ({', '.join(known)}); got {name!r}")
    return ("DEFAULT", *(member.name for member in models.get_model_weights(name)))


def _of_torchvision(name: str, weights: str | None) -> nn.Module:
    from torchvision import models
    from torchvision.models.feature_extraction import create_feature_extractor

    # transform_input: as torchvision sets it with published weights, whose network a checkpoint continues
    own = name in ("googlenet", "inception_v3") and weights is None
    options = {"init_weights": True, "transform_input": True} if own else {}
    model = models.get_model(name, weights=weights, **options)
    last = next((part for part in LAST_MAPS if hasattr(model, part)), None)
    if last is None:
        raise ValueError(f"backbone {name!r} has no feature map of its own")
    body: nn.Module = create_feature_extractor(model, {last: "map"}, suppress_diff_warning=True)
    return body.to(memory_format=torch.channels_last)


def _read(file: Path, name: str, published: Sequence[str]) -> Mapping[str, Any]:
    """The weights of a file by the names that the classifier has for them."""
    if not file.is_file():
        names = f", or one of {', '.join(published)}" if published else ""
        raise FileNotFoundError(f"no weights {str(file)!r} of {name}: expected a file{names}")
    with _naming(file, name):
        kept = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(kept, Mapping):
        raise ValueError(
            f"{file} holds no weights of {name}: expected a state_dict or a checkpoint, got {type(kept).__name__}"
        )
    if "state_dict" not in kept:
        if name in PLANES:
            raise ValueError(f"{file} holds no weights of {name}: expected a checkpoint of PartsClassification")
        return kept
    found = kept.get("hyper_parameters", {}).get("backbone")
    if found != name:
        raise ValueError(f"{file} holds no weights of {name}: it is a checkpoint of {found or 'a task without backbone'}")
    prefix = f"{DESCRIPTION}body."
    return {key.removeprefix(prefix): value for key, value in kept["state_dict"].items() if key.startswith(prefix)}


@contextmanager
def _naming(file: Path, name: str) -> Iterator[None]:
    """What torch says of weights that do not fit, with the file's name."""
    try:
        yield
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as e:
        raise ValueError(f"{file} holds no weights of {name}: {' '.join(str(e).split())[:200]}") from e
