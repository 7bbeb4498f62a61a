"""A transform or sampler, said as plain data and built again."""

import json
from importlib import import_module

import pytest
import torch

from stn_lightning.component import init_args, plain
from stn_lightning.samplers import registry as samplers
from stn_lightning.transforms import registry


def rebuilt(obj):
    data = json.loads(json.dumps(plain(obj)))
    module, _, name = data["class_path"].rpartition(".")
    return getattr(import_module(module), name)(**data["init_args"])


def test_transform_is_built_again_from_plain_data(transform, draw):
    twin = rebuilt(transform)
    assert type(twin) is type(transform)
    theta = draw(transform)
    assert torch.equal(twin.grid(theta, (4, 5)), transform.grid(theta, (4, 5)))


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic"])
def test_sampler_is_built_again_from_plain_data(name):
    twin = rebuilt(samplers[name]("border"))
    assert type(twin) is samplers[name]
    assert twin.padding_mode == "border"


def test_plain_data_names_the_plugin_and_every_argument():
    assert plain(registry["translation"](0.5)) == {
        "class_path": "stn_lightning.transforms.translation",
        "init_args": {"scale": 0.5, "learn_basis": False, "basis_size": None},
    }


def test_arguments_survive_a_copy():
    import copy
    import pickle

    transform = registry["tps"](grid_size=(3, 5), regularisation=0.25)
    for twin in (copy.deepcopy(transform), pickle.loads(pickle.dumps(transform))):
        assert init_args(twin) == init_args(transform)
        assert init_args(twin)["grid_size"] == [3, 5]
