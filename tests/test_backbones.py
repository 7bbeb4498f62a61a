"""Feature maps of classifiers: their shapes, their weights, their errors."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader, TensorDataset
from torchvision.models import get_model, get_model_weights

from stn_lightning.backbones import FeatureMap, initial_weights_left_out
from stn_lightning.localisations import registry
from stn_lightning.tasks import PartsClassification


@pytest.mark.parametrize(
    ("name", "channels"),
    [("small", 128), ("tiny", 32), ("resnet18", 512), ("googlenet", 1024), ("mobilenet_v3_small", 576), ("swin_t", 768)],
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


@pytest.fixture
def checkpoint(tmp_path):
    """A constructor of checkpoints of tasks, and the task."""

    def checkpoint(**options):
        task = PartsClassification((3, 48, 48), 3, num_parts=0, **options)
        trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", max_epochs=1, enable_progress_bar=False)
        trainer.fit(task, DataLoader(TensorDataset(torch.rand(4, 3, 48, 48), torch.arange(4) % 3), batch_size=4))
        trainer.save_checkpoint(tmp_path / "task.ckpt")
        return str(tmp_path / "task.ckpt"), task

    return checkpoint


@pytest.mark.parametrize("name", ["small", "mobilenet_v3_small"])
def test_weights_of_a_checkpoint_begin_every_stream_and_the_localisation_net(checkpoint, name):
    file, baseline = checkpoint(backbone=name)
    task = PartsClassification((3, 64, 64), 5, backbone=name, weights=file)
    trained = baseline.network.descriptions[0].state_dict()
    streams = [*(part for part in task.modules() if isinstance(part, FeatureMap))]
    assert len(streams) == 3
    for stream in streams:
        assert stream.state_dict().keys() == trained.keys()
        assert all(torch.equal(value, trained[key]) for key, value in stream.state_dict().items())


def test_checkpoint_of_another_backbone_and_a_damaged_one_are_refused(checkpoint):
    file, _ = checkpoint(backbone="small")
    with pytest.raises(ValueError, match=r"task.ckpt holds no weights of resnet18: it is a checkpoint of small"):
        FeatureMap("resnet18", file)
    Path(file).write_bytes(Path(file).read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"task.ckpt holds no weights of small: "):
        FeatureMap("small", file)


@pytest.mark.parametrize("name", ["googlenet", "resnet18"])
def test_weights_of_a_classifier_of_other_classes_are_taken(tmp_path, name):
    model = get_model(name, weights=None, num_classes=7, **({"aux_logits": False} if name == "googlenet" else {}))
    torch.save(model.state_dict(), tmp_path / "it.pth")
    backbone = FeatureMap(name, str(tmp_path / "it.pth"))
    assert torch.equal(
        backbone.body.conv1.conv.weight if name == "googlenet" else backbone.body.conv1.weight, next(model.parameters())
    )


def test_network_of_published_weights_is_the_same_in_a_checkpoint(tmp_path, monkeypatch):
    """With them torchvision rescales the input of GoogLeNet, which no state_dict says."""
    torch.manual_seed(0)
    place = tmp_path / "hub" / "checkpoints" / Path(get_model_weights("googlenet").DEFAULT.url).name
    place.parent.mkdir(parents=True)
    torch.save(get_model("googlenet", weights=None, init_weights=True).state_dict(), place)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    first = FeatureMap("googlenet", "DEFAULT").eval()
    with initial_weights_left_out():
        second = FeatureMap("googlenet", "DEFAULT").eval()
    second.load_state_dict(first.state_dict())
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(first(images), second(images))


@pytest.mark.parametrize("kept", [torch.zeros(3), [1, 2]], ids=["tensor", "list"])
def test_file_of_something_else_is_named(tmp_path, kept):
    torch.save(kept, tmp_path / "it.pth")
    with pytest.raises(ValueError, match=r"it.pth holds no weights of resnet18: expected a state_dict or a checkpoint, got"):
        FeatureMap("resnet18", str(tmp_path / "it.pth"))


def test_grey_images_are_seen_as_three_equal_channels():
    backbone = FeatureMap().eval()
    grey = torch.rand(2, 1, 64, 64)
    assert backbone.output_shape((1, 64, 64)) == backbone.output_shape((3, 64, 64))
    assert torch.equal(backbone(grey), backbone(grey.expand(-1, 3, -1, -1).contiguous()))


def test_state_dict_of_small_is_refused(tmp_path):
    torch.save(FeatureMap("small").state_dict(), tmp_path / "small.pth")
    with pytest.raises(ValueError, match=r"small.pth holds no weights of small: expected a checkpoint"):
        FeatureMap("small", str(tmp_path / "small.pth"))


def test_checkpoint_needs_the_file_of_its_first_weights_no_more(checkpoint, tmp_path):
    file, _ = checkpoint(backbone="small")
    first = tmp_path / "first.ckpt"
    Path(file).rename(first)
    file, task = checkpoint(backbone="small", weights=str(first))
    first.unlink()
    loaded = PartsClassification.load_from_checkpoint(file)
    assert loaded.hparams["weights"] == str(first)
    assert all(torch.equal(value, task.state_dict()[key]) for key, value in loaded.state_dict().items())
    with pytest.raises(FileNotFoundError, match="no weights"):
        PartsClassification((3, 48, 48), 3, weights=str(first))


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("vit_b_16",), ValueError, "'vit_b_16' has no feature map"),
        (("nothing",), ValueError, "'small' or 'tiny', or a classifier of torchvision .*; got 'nothing'"),
        (("resnet18", "here.pth"), FileNotFoundError, "no weights 'here.pth' of resnet18: expected a file.*IMAGENET1K_V1"),
        (("small", "DEFAULT"), FileNotFoundError, "no weights 'DEFAULT' of small: expected a file"),
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
    assert net.feature_map[1](torch.rand(1, 3, 32, 32)).shape == (1, 128, 2, 2)
