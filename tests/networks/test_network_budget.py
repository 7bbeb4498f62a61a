"""Every network of an experiment has the same number of parameters, within 2%, and at most 400,000."""

from functools import partial

import pytest
import torch
from torch import nn

from stn_lightning import SpatialTransformer
from stn_lightning.localisations import registry as localisations
from stn_lightning.networks import CNN, FCN, count_parameters
from stn_lightning.samplers import registry as samplers
from stn_lightning.tasks import Classification
from stn_lightning.transforms import registry as transforms

BUDGET = 400_000
INPUT = {"R": (1, 28, 28), "RTS": (1, 42, 42)}
NETWORKS = {"FCN": FCN, "CNN": CNN}
# (experiment, network, transform): (parameters, width)
COUNTS = {
    ("R", "FCN", None): (399615, 349),
    ("R", "FCN", "affine"): (399020, 330),
    ("R", "FCN", "projective"): (399086, 330),
    ("R", "FCN", "tps"): (399878, 330),
    ("R", "CNN", None): (398448, 246),
    ("R", "CNN", "affine"): (399880, 240),
    ("R", "CNN", "projective"): (399922, 240),
    ("R", "CNN", "tps"): (398817, 239),
    ("RTS", "FCN", None): (399566, 202),
    ("RTS", "FCN", "affine"): (400000, 400),
    ("RTS", "FCN", "projective"): (398814, 399),
    ("RTS", "FCN", "tps"): (399606, 399),
    ("RTS", "CNN", None): (398079, 205),
    ("RTS", "CNN", "affine"): (398680, 240),
    ("RTS", "CNN", "projective"): (398722, 240),
    ("RTS", "CNN", "tps"): (399226, 240),
}


def network(experiment, name, transform, **options):
    """As the experiments' configs build it: on RTS, average pooling by 2 after the spatial transformer."""
    pool = 2 if experiment == "RTS" and transform else 1
    build = partial(NETWORKS[name], pool=pool, **options)
    part = transforms[transform]() if isinstance(transform, str) else transform
    return Classification(INPUT[experiment], 10, network=build, transform=part).network


@pytest.mark.parametrize("key", COUNTS, ids=lambda key: "-".join(map(str, key)))
def test_parameters_of_each_network(key):
    net = network(*key)
    assert (sum(p.numel() for p in net.parameters()), net.width) == COUNTS[key]
    assert count_parameters(net) == COUNTS[key][0]
    assert net(torch.zeros(2, *INPUT[key[0]])).prediction.shape == (2, 10)


@pytest.mark.parametrize("experiment", INPUT)
def test_networks_of_an_experiment_are_of_one_size(experiment):
    counts = [count for key, (count, _) in COUNTS.items() if key[0] == experiment]
    assert max(counts) <= BUDGET
    assert max(counts) - min(counts) <= 0.02 * min(counts)


@pytest.mark.parametrize("transform", [None, "affine"])
@pytest.mark.parametrize("name", NETWORKS)
def test_batch_normalisation_is_behind_each_stage_and_within_the_budget(name, transform):
    net = network("RTS", name, transform, batch_norm=True)
    norms = [module for module in net.stages.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert [norm.num_features for norm in norms] == ([32, net.width] if name == "CNN" else [net.width] * 2)
    assert 0.98 * BUDGET <= count_parameters(net) <= BUDGET
    assert all(module.training for module in net.modules())  # what the shape was asked of was set back
    assert torch.equal(norms[0].running_mean, torch.zeros(norms[0].num_features))  # and has seen nothing
    assert net(torch.rand(2, *INPUT["RTS"])).prediction.isfinite().all()


def test_count_by_hand():
    """ST-CNN affine on R: 28 -> 20 -> 10 -> 4 -> 2 pixels; localisation 14 -> 10 -> 5 -> 1."""
    classifier = (32 * 81 + 32) + (240 * 32 * 49 + 240) + (10 * 240 * 4 + 10)
    localisation = (20 * 25 + 20) + (20 * 20 * 25 + 20) + (20 * 20 + 20) + (6 * 20 + 6)
    assert COUNTS["R", "CNN", "affine"][0] == classifier + localisation


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("parameters", [30_000, 121_000])
def test_width_is_the_largest_within_the_budget(name, parameters):
    chosen = network("R", name, "affine", parameters=parameters)
    assert count_parameters(chosen) <= parameters
    assert count_parameters(network("R", name, "affine", width=chosen.width + 1)) > parameters


def test_learned_basis_takes_its_share_of_the_budget():
    learned = transforms["affine"](learn_basis=True, basis_size=(28, 28))
    net = network("R", "CNN", learned)
    assert count_parameters(net) <= BUDGET
    assert net.width == 238
    assert count_parameters(net) == count_parameters(network("R", "CNN", "affine", width=238)) + 3 * 28 * 28


def test_shared_parameters_count_once():
    layer = nn.Linear(3, 2)
    assert count_parameters(nn.Sequential(layer, layer), layer) == 8


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("transform", [None, "affine"])
def test_initial_weights_do_not_depend_on_the_search_for_the_width(name, transform):
    torch.manual_seed(3)
    searched = network("R", name, transform)
    after_search = torch.rand(3)
    torch.manual_seed(3)
    given = network("R", name, transform, width=searched.width)
    assert torch.equal(after_search, torch.rand(3))
    for (key, a), (_, b) in zip(searched.state_dict().items(), given.state_dict().items(), strict=True):
        assert torch.equal(a, b), key


@pytest.mark.parametrize("name", NETWORKS)
def test_budget_too_small_for_any_width(name):
    with pytest.raises(ValueError, match=r"budget of at least \d+ parameters.*got 100"):
        network("R", name, "affine", parameters=100)


def test_least_budget_that_the_error_names_is_enough():
    with pytest.raises(ValueError, match=r"at least (\d+)") as caught:
        network("R", "CNN", None, parameters=100)
    least = int(str(caught.value).split("at least ")[1].split()[0])
    assert network("R", "CNN", None, parameters=least).width == 1
    with pytest.raises(ValueError, match="budget"):
        network("R", "CNN", None, parameters=least - 1)


def test_network_takes_any_transformer_factory():
    def factory(shape):
        transform = transforms["attention"]()
        net = localisations["fc"](shape, transform.initial()[None], units=(5,))
        return SpatialTransformer(net, transform, samplers["bilinear"](), output_size=(12, 14))

    net = FCN((2, 9, 8), 4, factory, parameters=5_000)
    output = net(torch.rand(3, 2, 9, 8))
    assert output.prediction.shape == (3, 4)
    assert output.warps["input"].output.shape == (3, 2, 12, 14)
