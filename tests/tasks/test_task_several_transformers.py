"""Classification with several transformers: side by side, and in a chain."""

from functools import partial

import pytest
import torch

from stn_lightning import ParallelSpatialTransformers, SpatialTransformerChain
from stn_lightning.callbacks._health_reading import head_of
from stn_lightning.callbacks._pictures import warp_pictures
from stn_lightning.exporting import export_task
from stn_lightning.localisations import FullyConnected
from stn_lightning.networks import CNN
from stn_lightning.tasks import Classification
from stn_lightning.transforms import registry as transforms

KINDS = {
    "heads": {"heads": 2},
    "chain": {"steps": 3},
    "own": {"steps": 2, "shared": False},
    "placements": {"network": partial(CNN, width=4, placement=["input", "conv1"]), "localisation": FullyConnected, "heads": 2},
}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def test_heads_have_localisation_nets_of_their_own(make):
    layer = make(heads=3).network.transformers["input"]
    assert isinstance(layer, ParallelSpatialTransformers)
    assert [net.num_heads for net in layer.localisations] == [1, 1, 1]
    first, second, _ = (net.trunk[1].weight for net in layer.localisations)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("shared", "nets"), [(True, 1), (False, 3)])
def test_steps_share_their_localisation_net_unless_said(make, shared, nets):
    layer = make(steps=3, shared=shared).network.transformers["input"]
    assert isinstance(layer, SpatialTransformerChain)
    assert len(layer.localisations) == 3
    assert len({id(net) for net in layer.localisations}) == nets


@pytest.mark.parametrize(("options", "scale"), [({"shared": False}, 0.5), ({}, 0.125), ({"steps": 1, "heads": 2}, 0.5)])
def test_start_of_the_first_step_of_nets_of_their_own_or_of_each(make, options, scale):
    output = make(initial=0.5, **{"steps": 3, **options})(torch.rand(2, 1, 28, 28))
    for warp in output.warps.values():
        assert warp.theta[0].tolist() == pytest.approx([scale, 0, 0, 0, scale, 0])


def test_each_placement_has_a_transform_of_its_own():
    learned = transforms["affine"](learn_basis=True, basis_size=(12, 12))
    build = partial(CNN, width=2, filters=2, placement=["input", "conv1"])
    net = partial(FullyConnected, units=(2,))
    task = Classification((1, 28, 28), 10, network=build, transform=learned, localisation=net, output_size=(12, 12))
    bases = {id(layer.transform.learned_basis) for layer in task.network.transformers.values()}
    assert len(bases | {id(learned.learned_basis)}) == 3


@kinds
def test_checkpoint_builds_it_again(make, digits, built_again, kind):
    task = make(**kind)
    again = built_again(task, digits())
    images = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(again(images).prediction, task.eval()(images).prediction)


@kinds
def test_pictures_and_health_know_it(make, kind):
    task = make(**kind)
    images = torch.rand(2, 1, 28, 28)
    warps = task(images).warps
    assert set(warp_pictures(images, warps)) == {name.partition(".")[0] for name in warps}
    heads = {name: head_of(task, name) for name in warps}
    if "steps" in kind:  # measured by all localisation nets
        assert heads == {"input": None}
    else:
        assert len({id(head.net) for head in heads.values()}) == len(warps)
        placed = {name: task.network.transformers[name.partition(".")[0]].localisations for name in warps}
        assert all(heads[name].net is placed[name][int(name[-1]) - 1] for name in warps)


@pytest.mark.parametrize("kind", [KINDS["chain"], KINDS["placements"]], ids=["chain", "placements"])
def test_exported_it_gives_the_same_numbers(make, kind, tmp_path):
    task = make("projective", **kind)
    for layer in task.network.transformers.values():
        for net in layer.localisations:
            torch.nn.init.normal_(net.head.weight, 0, 0.02)
    exported = export_task(task, tmp_path / "it.pt2", "torch", torch.rand(3, 1, 28, 28), theta=True)
    assert {f"theta.{name}" for name in task(torch.rand(1, 1, 28, 28)).warps} == set(exported.outputs) - {"prediction"}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"heads": 0}, "heads and steps of at least 1, .*got heads=0, steps=1"),
        ({"steps": 0}, "heads and steps of at least 1"),
        ({"heads": 2, "steps": 2}, "one of them 1; got heads=2, steps=2"),
        ({"transform": None, "heads": 2}, "expected a transform with heads, got none"),
        ({"transform": None, "steps": 2}, "expected a transform with steps, got none"),
        ({"transform": "tps", "steps": 2}, "a transform that composes, one of affine, .*; got ThinPlateSpline"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(make, options, text):
    with pytest.raises(ValueError, match=text):
        make(**options)
