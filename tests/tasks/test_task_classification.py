"""What Classification builds, computes and refuses."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from stn_lightning.localisations import registry as localisations
from stn_lightning.networks import CNN, FCN
from stn_lightning.samplers import registry as samplers
from stn_lightning.tasks import Classification
from stn_lightning.transforms import registry as transforms


def layer(task):
    return task.network.transformers["input"]


@pytest.mark.parametrize(
    ("network", "cls", "net"),
    [
        (None, CNN, "conv"),
        (CNN, CNN, "conv"),
        (FCN, FCN, "fc"),
        (partial(FCN, width=5), FCN, "fc"),
        (partial(CNN, pool=1), CNN, "conv"),
    ],
)
def test_localisation_is_the_papers_unless_said(make, network, cls, net):
    task = make(network=network)
    assert type(task.network) is cls
    assert type(layer(task).localisation) is localisations[net]
    assert type(layer(task).sampler) is samplers["bilinear"]


def test_parts_are_those_given(make):
    task = make(
        transform="similarity",
        localisation=partial(localisations["fc"], units=(3,)),
        sampler=samplers["bicubic"]("border"),
        output_size=(14, 20),
        align_corners=True,
    )
    warped = task(torch.rand(2, 1, 28, 28)).warps["input"]
    assert warped.output.shape == (2, 1, 14, 20)
    assert warped.theta.shape == (2, 4)
    assert warped.grid[0, 0, 0].tolist() == pytest.approx([-1, -1])
    assert layer(task).sampler.padding_mode == "border"


def test_start_is_the_identity_unless_given(make):
    images = torch.rand(2, 1, 28, 28)
    warped = make()(images).warps["input"]
    torch.testing.assert_close(warped.output, images, atol=2e-7 * 28, rtol=0)
    zoomed = make(initial=[0.5, 0, 0.1, 0, 0.5, 0])(images).warps["input"]
    assert zoomed.theta[1].tolist() == pytest.approx([0.5, 0, 0.1, 0, 0.5, 0])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"transform": None, "initial": [1.0]}, "transform with initial, got none"),
        ({"transform": None, "sampler": samplers["nearest"]()}, "transform with sampler, got none"),
        ({"transform": None, "localisation": localisations["fc"]}, "transform with localisation"),
        ({"transform": None, "output_size": (3, 3)}, "transform with output_size"),
        ({"initial": [1.0, 0.0]}, r"initial with 6 numbers, as Affine has; got \[1\.0, 0\.0\]"),
        ({"output_size": (0, 3)}, "output_size.* 2 positive integers"),
        ({"label_smoothing": 2.0}, "label_smoothing"),
    ],
)
def test_arguments_that_do_not_fit(make, options, text):
    with pytest.raises(ValueError, match=text):
        make(**options)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_smoothed_cross_entropy(make, smoothing):
    task = make(label_smoothing=smoothing)
    output = task(torch.rand(4, 1, 28, 28))
    target = torch.tensor([1, 0, 9, 3])
    soft = F.one_hot(target, 10) * (1 - smoothing) + smoothing / 10
    expected = -(soft * output.prediction.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(task.loss(output, target), expected)


@pytest.mark.parametrize("split", ["val", "test"])
def test_metrics_are_those_of_the_whole_set(make, digits, trainer, split):
    """Batches of 64, 64 and 22: a mean of means would be another number."""
    task, data = make(), digits(num_validation=150)
    machine = trainer()
    run = machine.validate if split == "val" else machine.test
    (logged,) = run(task, data, verbose=False)
    batches = data.val_dataloader() if split == "val" else data.test_dataloader()
    images, targets = (torch.cat(parts) for parts in zip(*batches, strict=True))
    with torch.no_grad():
        prediction = task.eval()(images).prediction
    assert len(targets) == {"val": 150, "test": 450}[split]
    assert logged[f"{split}/error"] == pytest.approx(float((prediction.argmax(1) != targets).double().mean()), abs=1e-6)
    assert logged[f"{split}/loss"] == pytest.approx(float(F.cross_entropy(prediction, targets)), rel=1e-5)


def test_predict_gives_class_and_confidence_of_every_image(make, digits, trainer):
    task, data = make(), digits()
    parts = trainer().predict(task, data)
    images, _ = (torch.cat(batch) for batch in zip(*data.predict_dataloader(), strict=True))
    with torch.no_grad():
        probabilities = task.eval()(images).prediction.softmax(1)
    assert torch.equal(torch.cat([part["class"] for part in parts]), probabilities.argmax(1))
    torch.testing.assert_close(torch.cat([part["confidence"] for part in parts]), probabilities.amax(1))
    alone = task.predict_step(images[:3], 0)
    torch.testing.assert_close(alone["confidence"], probabilities[:3].amax(1))


def test_network_of_a_user_is_taken():
    class Mine(FCN):
        """A user's."""

    task = Classification((1, 9, 9), 3, network=partial(Mine, width=3), transform=transforms["translation"]())
    assert type(layer(task).localisation) is localisations["fc"]
    assert task(torch.rand(2, 1, 9, 9)).prediction.shape == (2, 3)


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed", "64-true"])
def test_sanity_check_then_fit_in_any_precision(make, digits, trainer, precision):
    """The sanity check runs in inference mode: what it builds must not reach the first backward pass."""
    task = make()
    machine = trainer(max_epochs=1, limit_train_batches=2, limit_val_batches=1, num_sanity_val_steps=1, precision=precision)
    machine.fit(task, digits())
    assert machine.global_step == 2
    assert torch.isfinite(machine.callback_metrics["val/loss"])


def test_compiled_network_trains_and_keeps_its_names(make, digits, trainer):
    """With SGD: Adam would blow the rounding of a gradient near zero up to the size of a step."""
    sgd = partial(torch.optim.SGD, lr=0.01)
    plain, compiled = make(optimizer=sgd), make(optimizer=sgd, compile=True)
    for task in (plain, compiled):
        trainer(max_epochs=1, limit_train_batches=2, limit_val_batches=0).fit(task, digits())
    assert list(plain.state_dict()) == list(compiled.state_dict())
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[key], value, atol=1e-5, rtol=1e-4)
