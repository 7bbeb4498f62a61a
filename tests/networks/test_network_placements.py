"""Several spatial transformers in a network: side by side, behind several stages, and in place of the pooling."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from stn_lightning import ParallelSpatialTransformers, SpatialTransformer, SpatialTransformerChain
from stn_lightning.localisations import registry as localisations
from stn_lightning.networks import CNN, FCN, count_parameters
from stn_lightning.samplers import registry as samplers
from stn_lightning.transforms import registry as transforms

SHAPE = (2, 28, 28)
PARTS = transforms["affine"](), samplers["bilinear"]()


def net(shape):
    made = localisations["fc"](shape, PARTS[0].initial()[None], units=(4,))
    with torch.no_grad():
        made.head.weight.normal_(0, 0.1)
    return made


def single(shape):
    return SpatialTransformer(net(shape), *PARTS)


def pair(shape):
    return ParallelSpatialTransformers([net(shape), net(shape)], *PARTS)


def chain(shape):
    return SpatialTransformerChain([net(shape)] * 2, *PARTS)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def images():
    return torch.rand(3, *SHAPE)


def without_transformers(network, build):
    state = {key: value for key, value in network.state_dict().items() if not key.startswith("transformers")}
    build.load_state_dict(state)
    return build


def test_what_parallel_transformers_make_is_concatenated_in_order(images):
    network = FCN(SHAPE, 19, pair, width=5, pool=2)
    output = network(images)
    assert list(output.warps) == ["input.1", "input.2"]
    made = [warp.output for warp in network.transformers["input"](images)]
    assert (made[0] - made[1]).abs().max() > 0.01
    plain = without_transformers(network, FCN((4, 14, 14), 19, width=5))
    expected = plain(F.avg_pool2d(torch.cat(made, dim=1), 2))
    torch.testing.assert_close(output.prediction, expected.prediction)
    assert all(torch.equal(warp.output, each) for warp, each in zip(output.warps.values(), made, strict=True))


def test_chain_is_one_warp_of_its_placement(images):
    network = CNN(SHAPE, 10, chain, width=4)
    output = network(images)
    assert list(output.warps) == ["input"]
    torch.testing.assert_close(output.warps["input"].grid, network.transformers["input"].steps(images)[-1].grid)


def test_transformer_behind_each_named_layer(images):
    network = CNN(SHAPE, 10, single, width=4, filters=3, placement=["conv2", "input", "conv1"])
    output = network(images)
    assert list(output.warps) == ["input", "conv1", "conv2"]
    x = network.transformers["input"](images).output
    for name in ("conv1", "conv2"):
        x = network.transformers[name](network.stages[name](x)).output
        torch.testing.assert_close(output.warps[name].output, x)
    torch.testing.assert_close(output.prediction, network.classifier(x.flatten(1)))


@pytest.mark.parametrize(("make", "thetas"), [(single, 2), (pair, 4), (chain, 2)])
def test_every_theta_is_fed_to_the_classifier(images, make, thetas):
    options = {"width": 4, "placement": ["input", "conv1"]}
    network = CNN(SHAPE, 10, make, feed_theta=True, **options)
    assert network.classifier.in_features == CNN(SHAPE, 10, make, **options).classifier.in_features + 6 * thetas
    with torch.no_grad():
        network.classifier.weight[:, : -6 * thetas] = 0
        network.classifier.bias.zero_()
    output = network(images)
    told = torch.cat([warp.theta for warp in output.warps.values()], dim=1)
    torch.testing.assert_close(output.prediction, told @ network.classifier.weight[:, -6 * thetas :].T)


def test_transformers_in_place_of_the_pooling_halve_each_map(images):
    network = CNN((2, 27, 29), 10, single, width=4, filters=3, placement=[], downsample="transformer")
    output = network(F.pad(images, (0, 1, 0, -1)))
    sizes = {name: tuple(warp.output.shape[1:]) for name, warp in output.warps.items()}
    assert sizes == {"conv1": (3, 10, 11), "conv2": (4, 2, 3)}  # 27x29 -> 19x21 -> 10x11 -> 4x5 -> 2x3: odd sizes round up
    assert not any(isinstance(module, torch.nn.MaxPool2d) for module in network.stages.modules())


def test_transformers_in_place_of_the_pooling_begin_as_average_pooling(images):
    network = CNN(SHAPE, 10, single, width=4, filters=3, placement=[], downsample="transformer")
    for name in ("conv1", "conv2"):
        torch.nn.init.zeros_(network.transformers[name].localisation.head.weight)
    x = images
    for stage in network.stages.values():
        x = F.avg_pool2d(stage(x), 2)
    torch.testing.assert_close(network(images).prediction, network.classifier(x.flatten(1)))


def test_pooling_in_place_of_transformers_besides_one_at_the_input(images):
    network = CNN(SHAPE, 10, single, width=4, downsample="transformer")
    assert list(network(images).warps) == ["input", "conv1", "conv2"]


@pytest.mark.parametrize(
    "options",
    [{}, {"placement": ["input", "conv1"]}, {"placement": [], "downsample": "transformer"}],
    ids=["input", "two", "strided"],
)
@pytest.mark.parametrize("make", [single, pair, chain])
def test_all_transformers_share_the_budget_and_learn(images, make, options):
    network = CNN(SHAPE, 10, make, parameters=150_000, filters=3, **options)
    assert (
        count_parameters(network)
        <= 150_000
        < count_parameters(CNN(SHAPE, 10, make, width=network.width + 1, filters=3, **options))
    )
    network(images).prediction.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in network.parameters())


@pytest.mark.parametrize("make", [pair, chain])
def test_compiled_network_gives_the_same_numbers(images, make):
    torch.compiler.reset()
    network = CNN(SHAPE, 10, make, width=4, filters=3, placement=["input", "conv1"])
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")(images)
    torch.testing.assert_close(compiled.prediction, network(images).prediction, rtol=0, atol=1e-5)
    assert list(compiled.warps) == list(network(images).warps)


def sized(shape):
    return SpatialTransformer(net(shape), *PARTS, output_size=(10, 10))


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (partial(CNN, transformer=single, placement=[]), r"placement of at least one stage .*got \[\]"),
        (
            partial(CNN, transformer=single, placement=["input", "conv9"]),
            "placement one of input, conv1, conv2; got .*'conv9'",
        ),
        (partial(CNN, transformer=single, placement=["conv1", "conv1"]), r"got \['conv1', 'conv1'\] .*each once"),
        (partial(CNN, downsample="stride"), "downsample one of pool, transformer; got 'stride'"),
        (partial(CNN, downsample="transformer"), "a transformer with downsample='transformer', got none"),
        (
            partial(CNN, transformer=sized, placement=[], downsample="transformer"),
            r"no output_size with downsample='transformer', got \(10, 10\)",
        ),
    ],
    ids=["nowhere", "unknown", "twice", "downsample", "no transformer", "output size"],
)
def test_arguments_that_do_not_fit_are_refused(build, text):
    with pytest.raises(ValueError, match=text):
        build(SHAPE, 10)
