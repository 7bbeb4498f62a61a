"""What the networks compute: stages, placement of the spatial transformer, theta fed forward, refusals."""

import pytest
import torch
import torch.nn.functional as F

from stn_lightning import SpatialTransformer
from stn_lightning.localisations import registry as localisations
from stn_lightning.networks import CNN, FCN
from stn_lightning.samplers import registry as samplers
from stn_lightning.transforms import registry as transforms

SHAPE = (1, 28, 28)


def transformer(shape):
    transform = transforms["affine"]()
    net = localisations["fc"](shape, transform.initial()[None], units=(4,))
    with torch.no_grad():
        net.head.weight.normal_(0, 0.1)
    return SpatialTransformer(net, transform, samplers["bilinear"]())


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def images():
    return torch.rand(3, *SHAPE)


def test_cnn_is_the_papers(images):
    net = CNN(SHAPE, 10, width=5, filters=3)
    conv1, conv2 = net.stages["conv1"][0], net.stages["conv2"][0]
    x = F.max_pool2d(F.relu(F.conv2d(images, conv1.weight, conv1.bias)), 2)
    x = F.max_pool2d(F.relu(F.conv2d(x, conv2.weight, conv2.bias)), 2)
    expected = F.linear(x.flatten(1), net.classifier.weight, net.classifier.bias)
    output = net(images)
    assert conv1.weight.shape == (3, 1, 9, 9)
    assert conv2.weight.shape == (5, 3, 7, 7)
    torch.testing.assert_close(output.prediction, expected)
    assert output.warps == {}


def test_fcn_is_the_papers(images):
    net = FCN(SHAPE, 10, width=6)
    (_, first, _), (_, second, _) = net.stages["hidden1"], net.stages["hidden2"]
    hidden = F.relu(second(F.relu(first(images.flatten(1)))))
    torch.testing.assert_close(net(images).prediction, net.classifier(hidden))
    assert (first.weight.shape, second.weight.shape) == ((6, 784), (6, 6))


@pytest.mark.parametrize(("side", "left"), [(42, 1), (43, 1), (28, None)])
def test_pooling_rounds_up(side, left):
    """42 -> 21 -> 13 -> 7 -> 1 -> 1: rounded down, 13 -> 6 would leave nothing for the 7x7 convolution."""
    if left is None:
        with pytest.raises(ValueError, match=r"too small: stage 'conv2' got \(32, 3, 3\)"):
            CNN((1, side, side), 10, pool=2, width=4)
        return
    net = CNN((1, side, side), 10, pool=2, width=4)
    assert net.classifier.in_features == 4 * left * left
    assert net(torch.rand(2, 1, side, side)).prediction.shape == (2, 10)


def test_transformer_at_the_input_sees_the_image_and_what_follows_sees_its_output(images):
    net = CNN(SHAPE, 10, transformer, width=4)
    plain = CNN(SHAPE, 10, width=4)
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("transformers")})
    output = net(images)
    warped = net.transformers["input"](images)
    assert list(output.warps) == ["input"]
    torch.testing.assert_close(output.warps["input"], warped)
    torch.testing.assert_close(output.prediction, plain(warped.output).prediction)


def test_pooling_follows_a_transformer_at_the_input(images):
    net = FCN(SHAPE, 10, transformer, width=4, pool=2)
    plain = FCN((1, 14, 14), 10, width=4)
    plain.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("transformers")})
    warped = net.transformers["input"](images).output
    torch.testing.assert_close(net(images).prediction, plain(F.avg_pool2d(warped, 2)).prediction)


@pytest.mark.parametrize(("placement", "channels", "side"), [("conv1", 3, 10), ("conv2", 4, 2)])
def test_transformer_after_a_convolution(images, placement, channels, side):
    net = CNN(SHAPE, 10, transformer, width=4, filters=3, placement=placement)
    output = net(images)
    assert list(output.warps) == [placement]
    assert output.warps[placement].output.shape == (3, channels, side, side)
    features = net.stages["conv1"](images) if placement == "conv1" else net.stages["conv2"](net.stages["conv1"](images))
    torch.testing.assert_close(output.warps[placement].output, net.transformers[placement](features).output)


def test_feed_theta_gives_theta_to_the_classifier(images):
    net = CNN(SHAPE, 10, transformer, width=4, feed_theta=True)
    without = CNN(SHAPE, 10, transformer, width=4)
    assert net.classifier.in_features == without.classifier.in_features + 6
    output = net(images)
    with torch.no_grad():
        net.classifier.weight[:, :-6] = 0
        net.classifier.bias.zero_()
    expected = output.warps["input"].theta @ net.classifier.weight[:, -6:].T
    torch.testing.assert_close(net(images).prediction, expected)


def test_feed_theta_without_a_transformer_changes_nothing(images):
    net = CNN(SHAPE, 10, width=4, feed_theta=True)
    assert net.classifier.in_features == CNN(SHAPE, 10, width=4).classifier.in_features
    assert net(images).prediction.shape == (3, 10)


def test_gradient_reaches_the_localisation_net(images):
    net = CNN(SHAPE, 10, transformer, width=4)
    net(images).prediction.square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_images_are_independent(images):
    net = CNN(SHAPE, 10, transformer, width=4).eval()
    together = net(images).prediction
    torch.testing.assert_close(together, torch.cat([net(image[None]).prediction for image in images]))


def test_state_dict_round_trip(images):
    one, other = (CNN(SHAPE, 10, transformer, width=4) for _ in range(2))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(images).prediction, other(images).prediction)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: CNN(SHAPE, 10, placement="conv9"), r"placement one of input, conv1, conv2; got 'conv9'"),
        (lambda: FCN(SHAPE, 10, placement="conv1"), r"placement one of .*got 'conv1'"),
        (lambda: FCN(SHAPE, 10, transformer, placement="hidden1"), "hidden1|placement|feature map|input_shape"),
        (lambda: CNN((1, 12, 12), 10), r"CNN: images of shape \(1, 12, 12\) are too small: stage 'conv2'"),
        (lambda: CNN((1, 8, 8), 10), r"too small: stage 'conv1' got \(1, 8, 8\)"),
        (lambda: CNN(SHAPE, 10, width=0), "width"),
        (lambda: CNN(SHAPE, 10, pool=0), "pool"),
        (lambda: CNN(SHAPE, 10, filters=0), "filters of at least 1, got 0"),
        (lambda: FCN((1, 4, 4), 10, pool=5), "too small: stage 'pool'"),
    ],
)
def test_arguments_that_do_not_fit(build, text):
    with pytest.raises(ValueError, match=text):
        build()


@pytest.mark.parametrize("shape", [(3, 1, 27, 28), (3, 2, 28, 28), (1, 28, 28), (3, 784)])
@pytest.mark.parametrize("cls", [CNN, FCN])
def test_images_of_another_shape_are_refused(cls, shape):
    with pytest.raises(ValueError, match=rf"{cls.__name__}: expected images of shape \(B, 1, 28, 28\), got \({shape[0]}"):
        cls(SHAPE, 10, width=4)(torch.rand(shape))
