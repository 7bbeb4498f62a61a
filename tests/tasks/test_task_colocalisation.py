"""CoLocalisation: the paper's loss, boxes in pixels, and an encoder that is trained once and kept."""

import pytest
import torch
from torchvision.ops import box_iou

from stn_lightning.data import DigitScenes
from stn_lightning.networks import Output
from stn_lightning.spatial_transformer import Warped
from stn_lightning.tasks import Classification, CoLocalisation
from stn_lightning.tasks._windows import iou, rectangles
from stn_lightning.transforms import Attention, Similarity

SHAPE = (1, 84, 84)


def make(**options):
    torch.manual_seed(0)
    return CoLocalisation(SHAPE, 10, **{"encoder_epochs": 1, **options})


def output(theta, prediction=None):
    codes = torch.zeros(len(theta), 20) if prediction is None else prediction
    return Output(codes, {"input": Warped(torch.zeros(len(theta), 1, 28, 28), theta, Attention().grid(theta, (28, 28)))})


@pytest.fixture
def scenes():
    return DigitScenes(digit=3, num_images=6, batch_size=3, seed=0)


@pytest.mark.parametrize("options", [{}, {"margin": 0.3}, {"direction_steps": 0}], ids=str)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_loss_is_that_of_all_pairs(options, training):
    task = make(**options).train(training)
    task.unit.fill_(0.02)
    images, elsewhere = torch.rand(5, *SHAPE), torch.rand(5, 1, 28, 28)
    found = task(images)
    codes, random = found.prediction, task.network.encode(elsewhere)
    if training and options.get("direction_steps") != 0:
        codes, random = codes / codes.norm(dim=1, keepdim=True), random / random.norm(dim=1, keepdim=True)
    else:
        codes, random = codes / 0.02**0.5, random / 0.02**0.5
    n, m = torch.tensor([(n, m) for n in range(5) for m in range(5) if n != m]).T
    expected = torch.nn.functional.triplet_margin_with_distance_loss(
        codes[n],
        codes[m],
        random[n],
        distance_function=lambda a, b: (a - b).square().sum(1),
        margin=options.get("margin", 1.0),
    )
    torch.testing.assert_close(task.loss(found, elsewhere), expected, rtol=1e-5, atol=1e-5)


def test_loss_of_one_image_is_nothing():
    task = make()
    assert task.loss(task(torch.rand(1, *SHAPE)), torch.rand(1, 1, 28, 28)) == 0


def test_code_is_all_that_the_layers_say():
    network = make().network
    windows = torch.rand(2, 1, 28, 28)
    codes = network.encode(windows)
    first = network.encoder.stages["conv1"](windows)
    assert codes.shape == (2, 32 * 10 * 10 + network.encoder.width * 2 * 2 + 10)
    assert torch.equal(codes[:, :3200], first.flatten(1))
    torch.testing.assert_close(codes[:, -10:], network.encoder(windows).prediction)


def test_only_the_localisation_net_learns():
    task = make()
    task.loss(task(torch.rand(4, *SHAPE)), torch.rand(4, 1, 28, 28)).backward()
    learning = {name for name, parameter in task.named_parameters() if parameter.grad is not None}
    assert learning == {name for name, _ in task.named_parameters() if name.startswith("network.transformer.")}
    assert all(not parameter.requires_grad for parameter in task.network.encoder.parameters())


def test_iou_is_that_of_torchvision():
    low = torch.rand(200, 2) * 2 - 1.3  # some leave the image
    first, second = (torch.cat([low + 0.3 * torch.rand(200, 2), low + 0.3 + 0.3 * torch.rand(200, 2)], 1) for _ in range(2))
    first[:3], second[3:6] = torch.tensor([-1, -1, 1, 1.0]), torch.tensor([0.9, 0.9, 1, 1])
    inside = [boxes.clamp(-1, 1) for boxes in (first, second)]
    torch.testing.assert_close(iou(first, second), box_iou(*inside).diagonal())


def test_rectangle_goes_around_the_corners():
    theta = torch.tensor([[0.5, 0.25, -0.5]])
    torch.testing.assert_close(rectangles(Attention(), theta), torch.tensor([[-0.25, -1.0, 0.75, 0.0]]))
    turned = torch.tensor([[0.0, 0.5, 0.25, -0.5]])  # by 90 degrees: the same square
    torch.testing.assert_close(rectangles(Similarity(), turned), torch.tensor([[-0.25, -1.0, 0.75, 0.0]]))


def test_window_is_right_above_half_of_the_union():
    """A window of side s on a box of side 1/3 with the same centre has an intersection over union of (1/3 / s)^2."""
    boxes = torch.tensor([[-1 / 3, -1 / 3, 1 / 3, 1 / 3]]).expand(3, -1)
    verdict = make().judge(output(torch.tensor([[1 / 3, 0, 0], [0.47, 0, 0], [0.48, 0, 0]])), boxes)
    torch.testing.assert_close(1 - verdict.loss, torch.tensor([1.0, (1 / 3 / 0.47) ** 2, (1 / 3 / 0.48) ** 2]))
    assert verdict.right.tolist() == [True, True, False]
    assert (verdict.target[0], verdict.predicted[1]) == ("28,28 28x28", "22,22 39x39")


def test_prediction_is_a_box_in_pixels():
    task = make(initial=[0.25, 0.5, -0.5])
    predicted = task.predict_step(torch.rand(2, *SHAPE), 0)
    assert list(predicted) == ["left", "top", "right", "bottom", "confidence"]
    edges = torch.stack(list(predicted.values())[:4]).tolist()
    assert edges == [[52.5] * 2, [10.5] * 2, [73.5] * 2, [31.5] * 2]
    assert ((predicted["confidence"] >= 0.1) & (predicted["confidence"] <= 1)).all()


def test_encoder_is_trained_once_and_kept(trainer, scenes, tmp_path, monkeypatch):
    task = make()
    before = {name: value.clone() for name, value in task.network.encoder.state_dict().items()}
    fit = trainer(max_epochs=1)
    fit.fit(task, scenes)
    fit.save_checkpoint(tmp_path / "it.ckpt")
    trained = task.network.encoder.state_dict()
    assert not any(torch.equal(before[name], value) for name, value in trained.items())
    images, targets = scenes.labelled
    said = task.network.encoder(images[:500] / 255).prediction.argmax(1)
    assert (said == targets[:500]).float().mean() > 0.5  # in 6 steps; by chance 0.1
    codes = task.network.encode(images[:1000] / 255)
    torch.testing.assert_close(task.unit, torch.pdist(codes).square().mean(), rtol=1e-4, atol=0)

    def trains_again(*args):
        raise AssertionError("the encoder is trained again")

    monkeypatch.setattr("stn_lightning.tasks._colocalisation.train_encoder", trains_again)
    again = CoLocalisation.load_from_checkpoint(tmp_path / "it.ckpt")
    for name, value in again.network.encoder.state_dict().items():
        assert torch.equal(value, trained[name])
    trainer(max_epochs=2).fit(make(), scenes, ckpt_path=tmp_path / "it.ckpt", weights_only=True)


def test_encoder_comes_from_a_checkpoint(trainer, scenes, tmp_path):
    torch.manual_seed(1)
    classifier = Classification((1, 28, 28), 10)
    from stn_lightning.data import DistortedDigits

    run = trainer(max_steps=1, limit_val_batches=0)
    run.fit(classifier, DistortedDigits(distortion="none", batch_size=32))
    run.save_checkpoint(tmp_path / "encoder.ckpt")
    task = make(encoder=str(tmp_path / "encoder.ckpt"))
    trainer(max_steps=1).fit(task, scenes)
    for name, value in task.network.encoder.state_dict().items():
        assert torch.equal(value, classifier.network.state_dict()[name])
    missing = make(encoder=str(tmp_path / "none.ckpt"))
    with pytest.raises(FileNotFoundError, match=r"none\.ckpt"):
        trainer(max_steps=1).fit(missing, scenes)


def test_checkpoint_of_another_network_is_named(trainer, scenes, tmp_path):
    torch.save({"state_dict": {"network.weight": torch.zeros(1)}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"other.ckpt holds no encoder.*undistorted_cnn"):
        trainer(max_steps=1).fit(make(encoder=str(tmp_path / "other.ckpt")), scenes)


def test_data_without_labelled_digits_are_refused(trainer):
    loader = [(torch.rand(2, *SHAPE), torch.rand(2, 1, 28, 28))]
    with pytest.raises(ValueError, match="expected data with labelled digits"):
        trainer(max_steps=1, limit_val_batches=0).fit(make(), loader)


@pytest.mark.parametrize("options", [{"margin": 0}, {"encoder_epochs": 0}, {"direction_steps": -1}], ids=str)
def test_argument_out_of_range_is_named(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        make(**options)
