"""The networks of Jaderberg et al. 2015, appendix A.5: their parameters, shapes, and the places of their transformers."""

from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn

from stn_lightning import SpatialTransformer
from stn_lightning.localisations import FullyConnected
from stn_lightning.networks import CNN, HouseNumberNet, count_parameters
from stn_lightning.samplers import Bilinear
from stn_lightning.tasks import SequenceRecognition
from stn_lightning.transforms import Affine

MULTI = ["input", "conv1", "conv2", "conv3"]


def network(side, placements=(), **options):
    transform = {"transform": Affine(), "placements": list(placements)} if placements else {}
    build = partial(HouseNumberNet, **options)
    return SequenceRecognition((3, side, side), 10, 5, network=build, **transform).network


@pytest.mark.parametrize(
    ("side", "placements", "count"),
    [
        (54, [], 28_692_183),
        (54, ["input"], 29_468_029),
        (54, MULTI, 32_282_223),
        (108, [], 44_617_431),
        (108, ["input"], 47_632_765),
        (108, MULTI, 59_179_247),
    ],
)
def test_parameters_of_each_network(side, placements, count):
    with torch.device("meta"):
        net = network(side, placements)
    assert count_parameters(net) == count


def test_parameters_are_those_of_the_paper():
    """28 to 32 million and each transformer's share, as the authors state them, rounded (paper.md 3.3)."""
    with torch.device("meta"):
        single, multi = network(54, ["input"]), network(54, MULTI)
    assert count_parameters(single.transformers["input"]) == 775_846
    shares = [count_parameters(transformer) for transformer in multi.transformers.values()]
    assert shares == [281_222, 1_121_030, 1_494_278, 693_510]


def test_parameters_by_hand():
    filters = [3, 48, 64, 128, 160, 192, 192, 192, 192]
    convolutions = sum(25 * i * o + o for i, o in pairwise(filters))
    units = [3 * 3 * 192, 3072, 3072, 3072, 5 * 11]
    layers = sum(i * o + o for i, o in pairwise(units))
    assert convolutions + layers == 28_692_183


def test_transformers_see_the_maps_of_the_paper():
    net = network(54, MULTI, width=0.125).eval()
    shapes = {name: transformer.localisation.input_shape for name, transformer in net.transformers.items()}
    assert shapes == {"input": (3, 54, 54), "conv1": (6, 27, 27), "conv2": (8, 27, 27), "conv3": (16, 13, 13)}
    with torch.no_grad():
        output = net(torch.rand(2, 3, 54, 54))
    assert output.prediction.shape == (2, 5, 11)
    assert list(output.warps) == MULTI
    assert [tuple(warp.output.shape[1:]) for warp in output.warps.values()] == list(shapes.values())


@pytest.mark.parametrize("placements", [["input"], MULTI])
def test_transformers_change_nothing_at_the_start(placements):
    """Their identity is the map itself, within rounding."""
    torch.manual_seed(0)
    net = network(54, placements, width=0.125).eval()
    plain = network(54, width=0.125).eval()
    missing = plain.load_state_dict(net.state_dict(), strict=False)
    assert missing.missing_keys == []
    x = torch.rand(2, 3, 54, 54)
    with torch.no_grad():
        torch.testing.assert_close(net(x).prediction, plain(x).prediction, rtol=0, atol=1e-5)


def test_every_parameter_learns():
    torch.manual_seed(0)
    net = network(54, MULTI, width=0.125, dropout=0.0)
    optimiser = torch.optim.SGD(net.parameters(), 0.5)
    x, target = torch.rand(4, 3, 54, 54), torch.randint(0, 11, (4, 5))
    for _ in range(2):  # the regressions start at zero, so that what is below them learns from the second step on
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x).prediction.flatten(0, 1), target.flatten()).backward()
        optimiser.step()
    still = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert still == []


def test_dropout_spares_the_first_layer_and_the_localisation_nets():
    net = network(54, MULTI, width=0.125)
    with_dropout = [name for name, module in net.named_modules() if isinstance(module, nn.Dropout)]
    assert [name.split(".")[1] for name in with_dropout] == [*(f"conv{i}" for i in range(2, 9)), "fc1", "fc2", "fc3"]
    assert all(name.startswith("stages.") for name in with_dropout)
    assert {module.p for module in net.modules() if isinstance(module, nn.Dropout)} == {0.5}


@pytest.mark.parametrize("length", [1, 7])
def test_number_of_positions_is_an_argument(length):
    net = HouseNumberNet((1, 32, 32), num_classes=3, max_length=length, width=0.05).eval()
    assert net(torch.zeros(2, 1, 32, 32)).prediction.shape == (2, length, 4)


def test_output_size_of_a_transformer_is_what_the_next_stage_sees():
    task = SequenceRecognition(
        (3, 108, 108), 10, 5, network=partial(HouseNumberNet, width=0.05), transform=Affine(), output_size=(54, 54)
    )
    plain = network(54, width=0.05)
    assert count_parameters(task.network.stages) == count_parameters(plain.stages)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width above 0.*width=0"),
        ({"dropout": 1.0}, r"dropout in \[0, 1\).*dropout=1.0"),
        ({"width": float("inf")}, "width above 0.*width=inf"),
        ({"max_length": 0}, "max_length of at least 1.*max_length=0"),
        ({"num_classes": 0}, "num_classes and max_length of at least 1.*num_classes=0"),
        ({"input_shape": (3, 54)}, r"input_shape \(C, H, W\), got \(3, 54\)"),
        ({"transformers": {"conv9": None}}, "expected placements among input, conv1, .*conv8; got conv9"),
        ({"input_shape": (3, 15, 15)}, r"images of shape \(3, 15, 15\) are too small: stage 'conv7'"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        HouseNumberNet(**{"input_shape": (3, 54, 54), "width": 0.05, **options})


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"expected images of shape \(B, 3, 54, 54\), got \(2, 3, 64, 64\)"):
        HouseNumberNet((3, 54, 54), width=0.05)(torch.zeros(2, 3, 64, 64))


@pytest.mark.parametrize(("build", "names"), [(CNN, ["conv1", "conv2"]), (HouseNumberNet, [f"conv{i}" for i in range(1, 9)])])
def test_a_transformer_can_follow_any_stage(build, names):
    """One mechanism places transformers in every network."""

    def make(shape):
        transform = Affine()
        return SpatialTransformer(FullyConnected(shape, transform.initial()[None], units=(4,)), transform, Bilinear())

    for name in ["input", *names]:
        where = {"transformer": make, "placement": name} if build is CNN else {"transformers": {name: make}}
        net = build((1, 28, 28), 10, width=2 if build is CNN else 0.05, **where).eval()
        assert list(net(torch.zeros(1, 1, 28, 28)).warps) == [name]
