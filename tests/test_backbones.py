"""Feature maps of classifiers: their shapes, their weights, their errors."""

import pytest
import torch
from torchvision.models import get_model

from stn_lightning.backbones import FeatureMap
from stn_lightning.localisations import registry


@pytest.mark.parametrize(
    ("name", "channels"),
    [("small", 128), ("resnet18", 512), ("googlenet", 1024), ("mobilenet_v3_small", 576), ("swin_t", 768)],
)
def test_last_map_is_found(name, channels):
    backbone = FeatureMap(name)
    shape = backbone.output_shape((3, 96, 96))
    assert shape == (channels, *shape[1:])
    assert min(shape[1:]) > 1
    assert backbone.training
    assert backbone.eval()(torch.rand(2, 3, 96, 96)).shape == (2, *shape)


def test_map_is_the_one_that_the_classifier_pools():
    torch.manual_seed(0)
    model = get_model("resnet18", weights=None).eval()
    backbone = FeatureMap("resnet18").eval()
    backbone.body.load_state_dict(model.state_dict(), strict=False)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        pooled = backbone(images).mean((2, 3))
        torch.testing.assert_close(model.fc(pooled), model(images), rtol=0, atol=1e-5)


def test_weights_of_a_file(tmp_path):
    model = get_model("resnet18", weights=None)
    torch.save(model.state_dict(), tmp_path / "it.pth")
    backbone = FeatureMap("resnet18", str(tmp_path / "it.pth"))
    assert torch.equal(backbone.body.conv1.weight, model.conv1.weight)
    torch.save(get_model("mobilenet_v3_small", weights=None).state_dict(), tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other.pth holds no weights of resnet18"):
        FeatureMap("resnet18", str(tmp_path / "other.pth"))


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("vit_b_16",), ValueError, "'vit_b_16' has no feature map"),
        (("nothing",), ValueError, "'small' or a classifier of torchvision .*; got 'nothing'"),
        (("resnet18", "here.pth"), FileNotFoundError, "no weights 'here.pth' of resnet18: expected a file.*IMAGENET1K_V1"),
        (("small", "DEFAULT"), ValueError, "'small' has no weights"),
    ],
)
def test_what_is_not_there_is_named(arguments, error, text):
    with pytest.raises(error, match=text):
        FeatureMap(*arguments)


def test_images_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match=r"images of shape \(3, 8, 8\) do not fit backbone 'inception_v3'"):
        FeatureMap("inception_v3").output_shape((3, 8, 8))


def test_localisation_net_starts_at_its_thetas_and_sees_less():
    initial = torch.tensor([[-0.5, 0.0], [0.5, 0.0]])
    net = registry["backbone"]((3, 64, 64), initial, filters=8, units=4, downsample=2)
    assert torch.equal(net(torch.rand(2, 3, 64, 64)), initial.expand(2, -1, -1))
    assert net.trunk[1](torch.rand(1, 3, 32, 32)).shape == (1, 128, 2, 2)
