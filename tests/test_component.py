"""Plain data of objects, and objects of plain data."""

import io
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser

from stn_lightning.component import Component, class_path, init_args, plain
from stn_lightning.distortions import Compose, Distortion, RandomPlacement, RandomRotation, RandomScale
from stn_lightning.localisations import Localisation
from stn_lightning.localisations import registry as localisations
from stn_lightning.networks import CNN
from stn_lightning.transforms import Transform, registry


class WithOptions(Component):
    def __init__(self, first, second=2, **options):
        super().__init__()


@pytest.mark.parametrize("value", [None, True, 3, 0.5, "text", [], {}, [1, [2.5, None]], {"a": {"b": False}}])
def test_plain_data_stays_itself(value):
    assert plain(value) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, (2, 3)), [1, [2, 3]]),
        (torch.tensor([[1.0, 0.5]]), [[1.0, 0.5]]),
        (torch.tensor(3), 3),
        (Path("a") / "b", "a/b"),
        (torch.optim.Adam, {"class_path": "torch.optim.Adam"}),
        (CNN, {"class_path": "stn_lightning.networks.CNN"}),
        (partial(torch.optim.Adam, lr=0.5), {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.5}}),
        (partial(CNN, pool=2), {"class_path": "stn_lightning.networks.CNN", "init_args": {"pool": 2}}),
        (localisations["conv"], {"class_path": "stn_lightning.localisations.conv"}),
        (
            partial(localisations["fc"], units=(3,)),
            {"class_path": "stn_lightning.localisations.fc", "init_args": {"units": [3]}},
        ),
        (RandomScale(0.5), {"class_path": "stn_lightning.distortions.RandomScale", "init_args": {"low": 0.5, "high": 1.2}}),
    ],
)
def test_plain_data_of_what_is_promised(value, expected):
    assert plain(value) == expected


def test_components_inside_components():
    nested = plain({"distortion": Compose([RandomRotation(10.0), Compose([RandomPlacement(30)])])})
    outer = nested["distortion"]["init_args"]["distortions"]
    assert outer[0] == {"class_path": "stn_lightning.distortions.RandomRotation", "init_args": {"degrees": 10.0}}
    assert outer[1]["init_args"]["distortions"][0]["init_args"] == {"size": 30}


def test_keyword_options_are_arguments_like_the_others():
    assert init_args(WithOptions(1, extra=(4, 5))) == {"first": 1, "second": 2, "extra": [4, 5]}


def test_arguments_that_are_changed_later_are_kept_as_given():
    transform = registry["tps"](grid_size=3)
    transform.basis_size = (9, 9)
    assert init_args(transform) == {
        "grid_size": 3,
        "control_points": None,
        "regularisation": 0.0,
        "learn_basis": False,
        "basis_size": None,
        "basis_rank": None,
    }


NOT_PLAIN = [object(), lambda x: x, partial(print, 1), {1, 2}, b"bytes", [{"deep": object()}]]


@pytest.mark.parametrize("value", NOT_PLAIN, ids=lambda v: type(v).__name__)
def test_what_has_no_plain_form_is_refused(value):
    with pytest.raises(ValueError, match="expected plain data"):
        plain(value)


def test_argument_without_a_plain_form_is_refused():
    with pytest.raises(ValueError, match=r"expected plain data.*got object"):
        init_args(WithOptions(object()))


def test_positional_arguments_of_a_factory_are_not_lost():
    """``partial(RandomScale, 0.5)`` is either said in full or refused."""
    try:
        said = plain(partial(RandomScale, 0.5))
    except ValueError:
        return
    assert said["init_args"] == {"low": 0.5}


@pytest.mark.parametrize(
    "value", [np.float64(0.5), np.float32(0.5), np.int64(2), np.bool_(True)], ids=lambda v: type(v).__name__
)
def test_numbers_of_numpy_load_as_plain_data_or_are_refused(value):
    try:
        said = plain(value)
    except ValueError:
        return
    file = io.BytesIO()
    torch.save({"hyper_parameters": said}, file)
    file.seek(0)
    assert torch.load(file, weights_only=True)["hyper_parameters"] == value


def test_class_path_is_the_shortest_public_import():
    assert class_path(registry["affine"]) == "stn_lightning.transforms.affine"
    assert class_path(RandomScale) == "stn_lightning.distortions.RandomScale"
    assert class_path(torch.optim.lr_scheduler.OneCycleLR) == "torch.optim.lr_scheduler.OneCycleLR"
    assert class_path(WithOptions) == f"{__name__}.WithOptions"


@pytest.mark.parametrize(
    ("kind", "obj"),
    [
        (Transform, registry["translation"](0.5)),
        (Transform, registry["tps"](grid_size=(3, 5), regularisation=0.25)),
        (Transform, registry["tps"](control_points=[[0, 0], [1, 0], [0, 1], [0.5, 0.75]])),
        (Transform, registry["affine"](learn_basis=True, basis_size=(4, 5))),
        (Distortion, Compose([RandomRotation(20.0), RandomScale(), RandomPlacement(32)])),
    ],
)
def test_jsonargparse_builds_it_again(kind, obj):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--part", type=kind)
    built = parser.instantiate_classes(parser.parse_object({"part": plain(obj)})).part
    assert type(built) is type(obj)
    assert plain(built) == plain(obj)
    assert [p.shape for p in built.parameters()] == [p.shape for p in obj.parameters()]


def test_factory_of_jsonargparse_says_what_it_makes():
    from collections.abc import Callable

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--net", type=Callable[[tuple[int, ...], torch.Tensor], Localisation])
    config = parser.parse_object({"net": {"class_path": "conv", "init_args": {"filters": 7}}})
    factory = parser.instantiate_classes(config).net
    said = plain(factory)
    assert said["class_path"] == "stn_lightning.localisations.conv"
    assert said["init_args"] == {"filters": 7, "units": 20, "downsample": 2, "padding": 0, "batch_norm": False}
    twin = parser.instantiate_classes(parser.parse_object({"net": said})).net
    assert plain(twin) == said
    net = twin((1, 28, 28), torch.zeros(1, 6))
    assert net.trunk[1].out_channels == 7
