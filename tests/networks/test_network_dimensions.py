"""Classifiers of signals and volumes."""

from functools import partial

import pytest
import torch
from torch import nn

from stn_lightning.localisations import registry
from stn_lightning.networks import SignalCNN, VolumeCNN
from stn_lightning.tasks import Classification
from stn_lightning.transforms import Affine1d, Affine3d


@pytest.mark.parametrize(
    ("network", "shape", "pooled"), [(SignalCNN, (1, 64), (32,)), (VolumeCNN, (1, 48, 48, 48), (24, 24, 24))]
)
def test_pooling_before_the_first_stage_halves_each_side(network, shape, pooled):
    stages = network(shape, 10, width=3, pool=2).stages
    assert tuple(stages["pool"](torch.zeros(1, *shape)).shape[2:]) == pooled


@pytest.mark.parametrize(("network", "shape", "norms"), [(SignalCNN, (1, 64), [2, 3]), (VolumeCNN, (1, 36, 36, 36), [32, 3])])
def test_batch_normalisation_is_behind_each_convolution(network, shape, norms):
    net = network(shape, 10, width=3, batch_norm=True)
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d)
    assert [module.num_features for module in net.modules() if isinstance(module, kinds)] == norms
    assert net(torch.rand(2, *shape)).prediction.shape == (2, 10)


@pytest.mark.parametrize(
    ("network", "transform", "shape", "size"),
    [(SignalCNN, Affine1d, (1, 64), (40,)), (VolumeCNN, Affine3d, (1, 36, 36, 36), (24, 24, 24))],
)
def test_transformer_has_an_output_size_of_its_dimension(network, transform, shape, size):
    build = partial(network, width=3)
    task = Classification(
        shape, 10, network=build, transform=transform(), localisation=registry[f"conv{len(size)}d"], output_size=size
    )
    output = task(torch.rand(2, *shape))
    assert tuple(output.warps["input"].output.shape) == (2, 1, *size)
