"""Any backbone, any number of channels, any size; pretrained weights from a cache, and what is said where there are none."""

import re
import shlex
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from stn_lightning.cli import run

from stn_timm import Timm

FOLDER = Path(__file__).parents[1]
INITIAL = torch.tensor([[1.0, 0, 0, 0, 1, 0], [0.5, 0, 0, 0, 0.5, 0]])
MODELS = {
    "resnet10t": 1,
    "mobilenetv3_small_050": 3,
    "vit_tiny_patch16_224": 1,
    "convnext_atto.d2_in1k": 3,
    "efficientnet_lite0": 1,
    "swin_tiny_patch4_window7_224": 4,  # its feature maps are (B, H, W, C)
}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the Hugging Face hub, and no internet."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(("model", "channels"), MODELS.items())
def test_every_family_starts_at_initial_and_trains_all_of_its_weights(model, channels):
    """A weight without gradient would stop distributed training."""
    net = Timm((channels, 64, 96), INITIAL, model, filters=4, units=8)
    x = torch.randn(2, channels, 64, 96)
    assert torch.equal(net(x), INITIAL.expand(2, -1, -1))
    torch.nn.init.normal_(net.head.weight)
    net(x).square().sum().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(("stage", "positions"), [(0, 16 * 20), (1, 8 * 10), (-1, 1 * 2)])
def test_stages_have_the_strides_of_the_backbone(stage, positions):
    """Nothing is pooled, and what follows the stage is left out."""
    net = Timm((3, 32, 40), INITIAL, "test_resnet", stage=stage, filters=5, units=3)
    assert net.trunk[5].in_features == 5 * positions
    whole = sum(p.numel() for p in timm.create_model("test_resnet", num_classes=0).parameters())
    used = sum(p.numel() for p in net.trunk[1].parameters())
    assert used < whole if stage != -1 else used == whole


def test_features_are_those_of_timm():
    net, theirs = Timm((3, 48, 64), INITIAL, "test_resnet").eval(), timm.create_model("test_resnet", num_classes=0).eval()
    theirs.load_state_dict(net.trunk[1].features.state_dict())
    x = torch.randn(2, 3, 48, 64)
    torch.testing.assert_close(net.trunk[:2](x), theirs.forward_features(x), rtol=0, atol=1e-6)


def test_theta_depends_on_where_things_are():
    """A pooled net of convolutions would give one theta for an image and its shifts by the stride."""
    net = Timm((1, 64, 64), INITIAL, "test_resnet").eval()
    torch.nn.init.normal_(net.head.weight)
    x = torch.zeros(2, 1, 64, 64)
    x[0, :, 4:20, 4:20] = x[1, :, 36:52, 36:52] = 1
    here, there = net(x)
    assert (here - there).abs().max() > 1e-3


def test_resize_feeds_the_backbone_maps_of_another_size():
    """Enlarged as torch does it; shrunk without aliasing: a checkerboard becomes grey."""
    small = Timm((3, 8, 8), INITIAL, "test_resnet", resize=(64, 32))
    x = torch.rand(2, 3, 8, 8)
    expected = torch.nn.functional.interpolate(x, (64, 32), mode="bilinear")
    torch.testing.assert_close(small.trunk[0](x), expected, rtol=0, atol=1e-6)
    assert small(x).shape == (2, 2, 6)
    large = Timm((1, 256, 256), INITIAL, "test_resnet", resize=(64, 64))
    board = (torch.arange(256)[:, None] + torch.arange(256)).remainder(2).float()[None, None]
    assert (large.trunk[0](board)[..., 2:-2, 2:-2] - 0.5).abs().max() < 0.01


@pytest.mark.parametrize("channels", [1, 3])
def test_pretrained_weights_are_those_in_the_cache(cache, channels):
    torch.manual_seed(7)
    theirs = timm.create_model("test_resnet")
    fill(cache, "test_resnet.r160_in1k", theirs)
    net = Timm((channels, 64, 64), INITIAL, "test_resnet", pretrained=True)
    ours, fresh = net.trunk[1].features.state_dict(), Timm((channels, 64, 64), INITIAL, "test_resnet")
    first = "conv1.0.weight" if "conv1.0.weight" in ours else "conv1.weight"
    expected = theirs.state_dict()[first]
    torch.testing.assert_close(ours[first], expected if channels == 3 else expected.sum(1, keepdim=True))
    assert not torch.equal(fresh.trunk[1].features.state_dict()[first], ours[first])
    deep = [name for name in ours if name.endswith("conv2.weight")]
    assert deep
    for name in deep:
        assert torch.equal(ours[name], theirs.state_dict()[name])


def fill(cache, name, model):
    """The hub's cache as a download leaves it."""
    repository = cache / f"models--timm--{name}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    save_file(model.state_dict(), snapshot / "model.safetensors")


def test_missing_weights_say_what_is_possible(cache):
    with pytest.raises(ValueError, match=r"expected the pretrained weights of 'test_resnet'.*got.*Possible: pretrained=False"):
        Timm((3, 64, 64), INITIAL, "test_resnet", pretrained=True)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        (
            (3, 64, 64),
            {"model": "resnet81"},
            r"expected the name of a timm model.*'resnet81'; did you mean 'resnet18'",
        ),
        ((3, 64, 64), {"model": "qqqqqq"}, r"got 'qqqqqq'; timm.list_models"),
        ((3, 64, 64), {"model": "resnet18.none"}, r"got 'resnet18.none'.*Invalid pretrained tag"),
        ((3, 64, 64), {"model": "test_resnet", "stage": 9}, r"expected a model, stage and size.*stage=9"),
        ((3, 28, 64), {}, r"expected a feature map of at least 32x32, the stride of 'resnet10t' at stage=-1; got 28x64"),
        ((3, 64, 64), {"resize": (16, 64)}, r"at least 32x32.*got 16x64"),
        ((3, 64, 42), {"model": "test_vit"}, r"of a size that 'test_vit' takes, got 64x42.*resize=\(64, 48\)"),
        ((3, 64, 64), {"resize": (16,)}, r"resize: expected 2 positive integers"),
        ((3, 64, 64), {"model": "test_vit", "filters": 0}, r"expected filters and units above 0; got filters=0"),
        ((3, 64, 64), {"model": "ghostnet_050", "pretrained": True}, r"No pretrained weights exist"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_arguments_that_do_not_fit_are_refused(cache, shape, options, message):
    with pytest.raises(ValueError, match=message):
        Timm(shape, INITIAL, **options)


@pytest.mark.parametrize("config", sorted((FOLDER / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_commands_of_the_config_train(config, tmp_path, monkeypatch):
    """As they stand in its comment, bracketed options left out and given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["stn"])
    (command,) = re.findall(r"^# +stn (.+)$", config.read_text(), re.MULTILINE)
    for words in (re.sub(r"\[.*?\]", "", command), re.sub(r"[\[\]]", "", command)):
        arguments = [str(FOLDER.parents[1] / word) if word.endswith(".yaml") else word for word in shlex.split(words)]
        run([*arguments, "--trainer.fast_dev_run=2", "--trainer.enable_progress_bar=false", "--seed_everything=false"])
