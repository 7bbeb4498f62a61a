"""Localisation nets start at ``initial``, can leave it, and keep theta in float32."""

import copy
import json
import pickle

import pytest
import torch
from torch import nn

from stn_lightning.component import init_args, plain
from stn_lightning.localisations import Localisation, Regression, registry

SHAPE = (2, 30, 33)
INITIAL = torch.linspace(-1, 1, 18).view(3, 6)  # three heads of six parameters, no two alike


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(params=["fc", "conv"])
def name(request):
    return request.param


@pytest.mark.parametrize(("layers", "behind"), [(2, nn.Conv2d), (3, nn.Linear)], ids=["conv", "fc"])
def test_batch_normalisation_is_behind_each_layer(layers, behind):
    """And theta starts at its initial value in training and evaluation."""
    net = registry["conv" if behind is nn.Conv2d else "fc"](SHAPE, INITIAL, batch_norm=True)
    modules = list(net.trunk)
    places = [i for i, module in enumerate(modules) if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert len(places) == layers
    assert all(isinstance(modules[i - 1], behind) and isinstance(modules[i + 1], nn.ReLU) for i in places)
    for training in (True, False):
        assert torch.equal(net.train(training)(torch.randn(4, *SHAPE)), INITIAL.expand(4, -1, -1))


@pytest.fixture
def net(name):
    return registry[name](SHAPE, INITIAL)


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("heads", [1, 3])
def test_every_head_starts_at_its_initial_theta(name, heads, training):
    net = registry[name](SHAPE, INITIAL[:heads]).train(training)
    theta = net(10 * torch.randn(4, *SHAPE))
    assert (net.num_heads, net.num_params, net.ndim) == (heads, 6, 2)
    assert torch.equal(theta, INITIAL[:heads].expand(4, -1, -1))


def test_net_can_leave_its_start(net):
    """A head that starts at the identity with no gradient never learns."""
    net(torch.randn(4, *SHAPE)).square().sum().backward()
    for parameter in net.head.parameters():
        assert parameter.grad.abs().max() > 0


def test_theta_follows_the_input_after_a_step(net):
    x = torch.randn(4, *SHAPE)
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    net(x)[:, 0].square().sum().backward()
    optimiser.step()
    moved = net(x) - INITIAL
    assert moved[:, 0].std(dim=0).max() > 0
    assert torch.equal(moved[:, 1:], torch.zeros(4, 2, 6))  # the heads do not share rows


def test_initial_is_copied(name):
    initial = INITIAL.clone()
    net = registry[name](SHAPE, initial)
    initial.fill_(9)
    assert torch.equal(net(torch.randn(1, *SHAPE))[0], INITIAL)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_theta_is_float32_under_autocast(net, dtype):
    with torch.no_grad():
        net.head.weight.normal_(std=0.1)
    x = torch.randn(4, *SHAPE)
    features = {}
    net.trunk.register_forward_hook(lambda module, args, output: features.update(seen=output))
    with torch.autocast("cpu", dtype=dtype):
        theta = net(x)
    assert features["seen"].dtype == dtype  # autocast was in force
    assert theta.dtype == torch.float32
    torch.testing.assert_close(theta, net.head(features["seen"].float()), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("module", "expected"),
    [(torch.bfloat16, torch.float32), (torch.float16, torch.float32), (torch.float64, torch.float64)],
    ids=str,
)
def test_theta_of_a_cast_module(net, module, expected):
    theta = net.to(module)(torch.randn(4, *SHAPE, dtype=module))
    assert theta.dtype == expected
    assert torch.equal(theta, INITIAL.to(module).to(expected).expand(4, -1, -1))


@pytest.mark.parametrize("shape", [(4, 2, 30, 34), (4, 1, 30, 33), (2, 30, 33), (4, 1, 2, 30, 33)], ids=str)
def test_input_of_another_shape_is_refused(net, shape):
    with pytest.raises(ValueError, match=rf"{type(net).__name__}: expected .*\(B, 2, 30, 33\), got .*{shape[-1]}\)"):
        net(torch.zeros(shape))


@pytest.mark.parametrize("shape", [(30, 33), (1, 2, 30, 33), (0, 30, 33), (1, 30, -1)], ids=str)
def test_malformed_input_shape_is_refused(name, shape):
    with pytest.raises(ValueError, match=r"expected input_shape .*got"):
        registry[name](shape, INITIAL)


@pytest.mark.parametrize("initial", [torch.zeros(6), torch.zeros(1, 2, 6)], ids=["rank 1", "rank 3"])
def test_initial_of_another_rank_is_refused(name, initial):
    with pytest.raises(ValueError, match=r"expected initial .*\(K, P\), got"):
        registry[name](SHAPE, initial)


@pytest.mark.parametrize("downsample", [1, 2, 3])
def test_smallest_map_for_convolutions(downsample):
    side = 14 * downsample
    net = registry["conv"]((1, side, side), INITIAL, downsample=downsample)
    assert net(torch.zeros(2, 1, side, side)).shape == (2, 3, 6)
    for small in [(side - 1, side), (side, side - 1)]:
        with pytest.raises(ValueError, match=f"expected .*at least {side}x{side}.*got {small[0]}x{small[1]}"):
            registry["conv"]((1, *small), INITIAL, downsample=downsample)


@pytest.mark.parametrize("side", range(28, 45))
def test_convolutions_take_every_larger_map(side):
    assert registry["conv"]((1, side, 72 - side), INITIAL)(torch.zeros(1, 1, side, 72 - side)).shape == (1, 3, 6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fc", {"units": ()}),
        ("fc", {"units": (8, 0)}),
        ("conv", {"filters": 0}),
        ("conv", {"units": 0}),
        ("conv", {"units": []}),
        ("conv", {"units": [4, 0]}),
        ("conv", {"downsample": 0}),
        ("conv", {"padding": -1}),
    ],
    ids=str,
)
def test_layers_without_units_are_refused(name, options):
    with pytest.raises(ValueError, match=r"expected .*got"):
        registry[name](SHAPE, INITIAL, **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fc", {"units": [5, 7], "batch_norm": True}),
        ("conv", {"filters": 3, "units": 4, "downsample": 1, "padding": 0, "batch_norm": True}),
        ("conv", {"filters": 3, "units": [4, 5], "downsample": 1, "padding": 2, "batch_norm": False}),
    ],
    ids=["fc", "conv", "conv-padded"],
)
def test_net_is_built_again_from_plain_data(name, options):
    net = registry[name](SHAPE, INITIAL, **options)
    data = json.loads(json.dumps(plain(net)))
    assert data["class_path"] == f"stn_lightning.localisations.{name}"
    assert data["init_args"] == {"input_shape": list(SHAPE), "initial": INITIAL.tolist(), **options}
    twin = registry[name](**{**data["init_args"], "initial": torch.tensor(data["init_args"]["initial"])})
    twin.load_state_dict(net.state_dict())
    x = torch.randn(2, *SHAPE)
    assert torch.equal(twin.eval()(x), net.eval()(x))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["deepcopy", "pickle"])
def test_copies_give_the_same_theta(net, copied):
    with torch.no_grad():
        net.head.weight.normal_(std=0.1)
    twin = copied(net)
    x = torch.randn(2, *SHAPE)
    assert torch.equal(twin(x), net(x))
    assert init_args(twin) == init_args(net)


class Linear(Localisation):
    """What a plugin's author writes, and no more."""

    def __init__(self, input_shape, initial):
        super().__init__(input_shape, initial)
        self.trunk = torch.nn.Flatten()
        self.head = Regression(self.input_shape[0] * self.input_shape[1] * self.input_shape[2], initial)


def test_plugin_is_a_trunk_and_a_head():
    assert torch.equal(Linear(SHAPE, INITIAL)(torch.randn(2, *SHAPE)), INITIAL.expand(2, -1, -1))
