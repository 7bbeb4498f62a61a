"""Units, histograms, hard samples, hyper-parameters with metrics, and the table of predictions, read back from real files."""

import csv
import math

import pytest
import torch
from lightning.pytorch import Trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stn_lightning.__main__ import main
from stn_lightning.callbacks import HardSamples, WarpStatistics, in_words
from stn_lightning.data import DistortedDigits
from stn_lightning.spatial_transformer import Warped
from stn_lightning.tasks import Classification
from stn_lightning.transforms import Affine, Similarity, ThinPlateSpline


def warped(transform, theta, size=(20, 20)):
    return Warped(torch.zeros(len(theta), 1, *size), theta, transform.grid(theta, size))


@pytest.mark.parametrize("degrees", [0.0, 30.0, -65.0, 170.0])
def test_a_similarity_reads_as_its_angle_scale_and_shift(degrees):
    angle, scale = math.radians(degrees), 0.5
    theta = torch.tensor([[scale * math.cos(angle), scale * math.sin(angle), 0.25, -0.5]])
    words = in_words(warped(Similarity(), theta), (42, 42))
    for name, value in {"angle_degrees": degrees, "scale": 0.5, "shift_x_pixels": 5.25, "shift_y_pixels": -10.5}.items():
        torch.testing.assert_close(words[name], torch.tensor([value]), atol=1e-4, rtol=0, msg=name)


def test_the_angle_is_one_of_pixels_on_an_image_that_is_not_square():
    """A window turned by 90 degrees in a 20x40 image, 10 pixels high and wide."""
    theta = torch.tensor([[0.0, -0.25, 0.0, 0.5, 0.0, 0.0]])  # x' = -y/4 (5 pixels of 20), y' = x/2 (5 pixels of 10)
    words = in_words(warped(Affine(), theta, (16, 16)), (20, 40))
    torch.testing.assert_close(words["angle_degrees"], torch.tensor([90.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(words["scale"], torch.tensor([0.125**0.5]), atol=1e-5, rtol=0)


def test_a_spline_reads_as_the_affine_map_that_it_is():
    spline = ThinPlateSpline()
    words = in_words(warped(spline, 0.5 * spline.identity()[None]), (28, 28))
    torch.testing.assert_close(words["scale"], torch.tensor([0.5]), atol=1e-5, rtol=0)
    torch.testing.assert_close(words["angle_degrees"], torch.zeros(1), atol=1e-4, rtol=0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One short fit, test and predict of the command line."""
    root = tmp_path_factory.mktemp("insight")
    common = [
        f"--trainer.default_root_dir={root}",
        "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false",
        "--trainer.accelerator=cpu",
    ]
    network = ["--model.network=CNN", "--model.network.parameters=30000", "--model.transform=affine"]
    main(["fit", *common, *network, "--trainer.max_epochs=1"])
    main(["test", *common, "--ckpt_path=last"])
    main(["predict", *common, "--ckpt_path=last"])
    return root


def events(folder):
    accumulators = [EventAccumulator(str(file)).Reload() for file in sorted(folder.glob("events*"))]
    tags = {}
    for kind in ("images", "histograms", "scalars"):
        tags[kind] = {tag: a for a in accumulators for tag in a.Tags()[kind]}
    return tags


def test_tensorboard_shows_histograms_and_hard_samples(run):
    tags = events(run / "version_0")
    assert set(tags["images"]) == {"warp/input", "hardest/input", "wrong/input"}
    units = {f"warp_input/{unit}" for unit in ("angle_degrees", "scale", "shift_x_pixels", "shift_y_pixels")}
    assert set(tags["histograms"]) == units | {f"theta_input/0{i}" for i in range(6)}
    histogram = tags["histograms"]["warp_input/scale"].Histograms("warp_input/scale")[-1].histogram_value
    assert histogram.num == 200  # every validation image
    assert 0.5 < histogram.min <= histogram.max < 2


def test_hyper_parameters_stand_beside_the_final_metrics(run):
    fitted, tested = events(run / "version_0")["scalars"], events(run / "version_1")["scalars"]
    assert {"final val/error", "final val/loss"} <= set(fitted)
    value = tested["final test/error"].Scalars("final test/error")[0].value
    assert value == pytest.approx(tested["test/error"].Scalars("test/error")[0].value)


def test_predictions_are_a_row_an_image(run):
    rows = list(csv.DictReader((run / "version_2" / "predictions.csv").open()))
    data = DistortedDigits()
    data.setup()
    task = Classification.load_from_checkpoint(run / "version_0" / "checkpoints" / "last.ckpt").eval()
    with torch.inference_mode():
        confidence, label = torch.cat([task(x).prediction for x, _ in data.test_dataloader()]).softmax(1).max(1)
    assert [int(row["image"]) for row in rows] == list(range(450))
    assert [int(row["class"]) for row in rows] == label.tolist()
    torch.testing.assert_close(torch.tensor([float(row["confidence"]) for row in rows]), confidence)


def test_the_hardest_images_are_those_of_the_highest_loss_of_all_batches():
    data, task = DistortedDigits(batch_size=64), Classification((1, 28, 28), 10, transform=Affine())
    callback = HardSamples(num_images=5)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    Trainer(callbacks=[callback], **quiet).validate(task, data, verbose=False)
    task.eval()
    with torch.inference_mode():
        batches = [(task(x).prediction, y) for x, y in data.val_dataloader()]
    logits, target = (torch.cat(parts) for parts in zip(*batches, strict=True))
    losses = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    expected = losses.topk(5).values
    torch.testing.assert_close(torch.tensor([s.loss for s in callback._hardest]), expected, atol=1e-5, rtol=0)
    first_wrong = (logits.argmax(1) != target).nonzero().flatten()[:5]
    assert [s.target for s in callback._wrong] == [str(i) for i in target[first_wrong].tolist()]


@pytest.mark.parametrize("make", [lambda: HardSamples(0), lambda: WarpStatistics(-1)])
def test_arguments_are_checked(make):
    with pytest.raises(ValueError, match=r"expected .* got"):
        make()
