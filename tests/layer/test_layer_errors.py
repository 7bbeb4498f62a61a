"""Parts that do not fit together are refused at construction, with expected and got."""

import pytest
import torch

from stn_lightning import ParallelSpatialTransformers, SpatialTransformer
from stn_lightning.localisations import registry as localisations
from stn_lightning.samplers import registry as samplers
from stn_lightning.transforms import registry as transforms

layers = pytest.mark.parametrize("layer", [SpatialTransformer, ParallelSpatialTransformers])


def net(heads=1, params=6):
    return localisations["fc"]((1, 6, 6), torch.zeros(heads, params), units=(4,))


class Volume(samplers["bilinear"]):
    ndim = 3


class VolumeNet(localisations["fc"]):
    ndim = 3


def parts(**other):
    return {"localisation": net(), "transform": transforms["affine"](), "sampler": samplers["bilinear"](), **other}


@layers
@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"localisation": net(params=8)}, "expected .* 6 parameters.*Affine.*got 8"),
        ({"transform": transforms["tps"]()}, "expected .* 32 parameters.*ThinPlateSpline.*got 6"),
        ({"sampler": Volume()}, "expected parts of one ndim, got localisation 2, transform 2, sampler 3"),
        (
            {"localisation": VolumeNet((1, 4, 4, 4), torch.zeros(1, 6))},
            "expected parts of one ndim, got localisation 3, transform 2, sampler 2",
        ),
        ({"localisation": torch.nn.Linear(3, 6)}, "expected localisation .*Localisation, got Linear"),
        ({"transform": samplers["bilinear"]()}, "expected transform .*Transform, got Bilinear"),
        ({"transform": transforms["affine"]}, "expected transform .*Transform, got"),
        ({"sampler": "bilinear"}, "expected sampler .*Sampler, got str"),
        ({"localisation": None}, "expected .*got"),
    ],
    ids=["params", "tps", "sampler ndim", "net ndim", "no localisation", "swapped", "class", "name", "None"],
)
def test_parts_that_do_not_fit_are_refused(layer, other, message):
    with pytest.raises(ValueError, match=message):
        layer(**parts(**other))


@layers
@pytest.mark.parametrize("output_size", [(), (4,), (4, 5, 6), (0, 4), (4, -1), (4.5, 4), 4], ids=str)
def test_output_size_that_is_none_is_refused(layer, output_size):
    with pytest.raises(ValueError, match=r"output_size: expected .*got"):
        layer(**parts(output_size=output_size))


def test_several_heads_are_for_parallel_transformers():
    with pytest.raises(ValueError, match=r"expected .*one head, got 2: use ParallelSpatialTransformers"):
        SpatialTransformer(**parts(localisation=net(heads=2)))


def test_one_layer_takes_one_net():
    with pytest.raises(ValueError, match=r"expected .*got"):
        SpatialTransformer(**parts(localisation=[net()]))


@pytest.mark.parametrize("nets", [[], [net(), net(params=8)], [net(), None]], ids=["none", "another P", "another type"])
def test_nets_of_a_list_are_each_checked(nets):
    with pytest.raises(ValueError, match=r"expected .*got"):
        ParallelSpatialTransformers(**parts(localisation=nets))


@layers
def test_input_of_another_shape_is_refused(layer):
    with pytest.raises(ValueError, match=r"expected .*\(B, 1, 6, 6\), got \(2, 1, 6, 7\)"):
        layer(**parts())(torch.zeros(2, 1, 6, 7))
