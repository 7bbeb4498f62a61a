"""What a spatial transformer makes of its input."""

import copy
import pickle

import pytest
import torch

from stn_lightning import ParallelSpatialTransformers, SpatialTransformer, Warped
from stn_lightning.localisations import registry as localisations
from stn_lightning.samplers import registry as samplers
from stn_lightning.transforms import registry as transforms

SHAPE = (2, 6, 7)
TRANSFORMS = ["translation", "attention", "similarity", "affine", "projective", "tps"]
SAMPLERS = ["nearest", "bilinear", "bicubic"]
both = pytest.mark.parametrize("align_corners", [False, True])


def crops(count):
    """Thetas of ``count`` windows, no two alike."""
    return torch.stack([torch.tensor([0.5, 0.1 * k, -0.1 * k]) for k in range(count)])


def window_net(initial, name="fc"):
    return localisations[name](SHAPE, initial)


@both
@pytest.mark.parametrize("output_size", [None, (1, 1), (3, 11), [9, 9]], ids=str)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_layer_is_its_parts(make, transform, output_size, align_corners):
    layer = make(transform, output_size=output_size, align_corners=align_corners)
    x = torch.randn(3, *SHAPE)
    warped = layer(x)
    size = tuple(output_size or SHAPE[1:])
    assert isinstance(warped, Warped)
    assert warped._fields == ("output", "theta", "grid")
    assert warped.output.shape == (3, 2, *size)
    assert warped.grid.shape == (3, *size, 2)
    assert torch.equal(warped.theta, layer.localisation(x)[:, 0])
    assert torch.equal(warped.grid, layer.transform.grid(warped.theta, size, align_corners))
    assert torch.equal(warped.output, layer.sampler(x, warped.grid, align_corners))


@both
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_layer_at_the_start_is_the_identity(transform, sampler, align_corners):
    built = transforms[transform]()
    net = localisations["fc"](SHAPE, built.initial()[None])
    layer = SpatialTransformer(net, built, samplers[sampler](), align_corners=align_corners)
    x = torch.rand(3, *SHAPE)
    tolerance = 0 if sampler == "nearest" else 2e-7 * max(SHAPE[1:])  # of the coordinates in float32
    assert (layer(x).output - x).abs().max() <= tolerance


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_one_layer_takes_any_input_size_where_its_net_does(make, transform):
    layer = make(transform, output_size=None)
    for size in [(6, 7), (12, 3), (1, 1)]:
        theta = torch.randn(2, layer.transform.num_params)
        warped = layer.warp(torch.randn(2, 4, *size), theta)
        assert warped.output.shape == (2, 4, *size)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_layer_learns_from_its_start(transform):
    """The first step moves the thetas, and the second one the whole localisation net."""
    built = transforms[transform]()
    layer = SpatialTransformer(localisations["fc"](SHAPE, built.initial()[None]), built, samplers["bilinear"]())
    x, target = torch.randn(3, *SHAPE), torch.randn(3, *SHAPE)
    optimiser = torch.optim.SGD(layer.parameters(), 0.1)
    for reached in ([layer.localisation.head.weight, layer.localisation.head.bias], layer.parameters()):
        optimiser.zero_grad()
        (layer(x).output - target).square().mean().backward()
        for parameter in reached:
            assert parameter.grad.abs().max() > 0
        optimiser.step()


def test_parallel_gives_one_warp_per_head_in_order():
    initial = crops(3)
    layer = ParallelSpatialTransformers(window_net(initial), transforms["attention"](), samplers["bilinear"](), (4, 4))
    x = torch.randn(2, *SHAPE)
    warps = layer(x)
    assert isinstance(warps, tuple)
    assert len(warps) == 3
    for warped, theta in zip(warps, initial, strict=True):
        assert torch.equal(warped.theta, theta.expand(2, -1))
        single = SpatialTransformer(window_net(theta[None]), layer.transform, layer.sampler, (4, 4))(x)
        assert torch.equal(warped.output, single.output)
        assert torch.equal(warped.grid, single.grid)


@pytest.mark.parametrize("split", [(3,), (2, 1), (1, 1, 1)], ids=str)
def test_parallel_takes_several_nets(split):
    initial = crops(3)
    nets = [window_net(part) for part in initial.split(split)]
    layer = ParallelSpatialTransformers(nets, transforms["attention"](), samplers["bilinear"](), (4, 4))
    x = torch.randn(2, *SHAPE)
    assert torch.equal(torch.stack([warped.theta[0] for warped in layer(x)]), initial)
    assert sum(p.numel() for p in layer.parameters()) == sum(p.numel() for net in nets for p in net.parameters())


def test_state_is_that_of_the_localisation(make):
    layer = make("tps")
    layer(torch.randn(2, *SHAPE))
    assert {key.split(".")[0] for key in layer.state_dict()} == {"localisation"}


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_copies_give_the_same_output(make, transform, copied):
    layer, x = make(transform), torch.randn(2, *SHAPE)
    expected = layer(x).output
    assert torch.equal(copied(layer)(x).output, expected)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_bfloat16_module_keeps_geometry_in_float32(make, transform):
    layer = make(transform).bfloat16()
    x = torch.randn(2, *SHAPE, dtype=torch.bfloat16)
    warped = layer(x)
    assert (warped.output.dtype, warped.theta.dtype, warped.grid.dtype) == (torch.bfloat16, torch.float32, torch.float32)
    exact = layer.transform.grid(warped.theta.double(), (5, 8))
    torch.testing.assert_close(warped.grid.double(), exact, rtol=0, atol=1e-6)
    output = layer.sampler(x.double(), exact)
    torch.testing.assert_close(warped.output.double(), output, rtol=2**-8, atol=1e-5)  # one rounding to bfloat16


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_autocast_keeps_geometry_in_float32(make, transform):
    layer, x = make(transform), torch.randn(2, *SHAPE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        warped = layer(x)
    assert all(part.dtype == torch.float32 for part in warped)
    exact = layer.transform.grid(warped.theta.double(), (5, 8))
    torch.testing.assert_close(warped.grid.double(), exact, rtol=0, atol=1e-6)


def test_float64_throughout(make):
    warped = make("tps").double()(torch.randn(2, *SHAPE, dtype=torch.float64))
    assert all(part.dtype == torch.float64 for part in warped)
