"""Penalties, clipping and zoomed starts as options of tasks."""

from functools import partial

import pytest
import torch

from stn_lightning.localisations import Bounded, FullyConnected, Localisation
from stn_lightning.networks import FCN
from stn_lightning.penalties import Area, Equivariance, Identity, Outside
from stn_lightning.tasks import Classification, PartsClassification, SequenceRecognition
from stn_lightning.transforms import registry

SMALL = partial(FullyConnected, units=(8,))
IMAGES = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def sequence(**options):
    return SequenceRecognition((1, 32, 32), 10, 2, **{"localisation": SMALL, "transform": registry["affine"](), **options})


def parts(**options):
    return PartsClassification((3, 32, 32), 6, **{"localisation": SMALL, **options})


def test_without_remedies_nothing_is_added(make):
    assert make().penalty(make()(IMAGES), IMAGES) == 0


def test_penalties_are_added_up(make):
    task = make(initial=[0.5, 0, 1.0, 0, 0.5, 0], penalties=[Outside(2.0), Identity(3.0)])
    output = task(IMAGES)
    (grid,) = (warp.grid for warp in output.warps.values())
    expected = 2 * Outside().of_grid(grid).mean() + 3 * Identity().of_grid(grid).mean()
    torch.testing.assert_close(task.penalty(output, IMAGES), expected)


def test_parts_take_penalties_beside_their_own():
    task = parts(initial=[[0.9, 0.0], [0.8, 0.0]], penalties=[Identity()])
    images = torch.rand(2, 3, 32, 32)
    alone = parts(initial=[[0.9, 0.0], [0.8, 0.0]])
    output = task(images)
    added = task.penalty(output, images) - alone.penalty(output, images)
    grids = [warp.grid for warp in output.warps.values()]
    torch.testing.assert_close(added, torch.stack([Identity().of_grid(grid).mean() for grid in grids]).mean())


@pytest.mark.parametrize("build", [sequence, parts], ids=["sequence", "parts"])
def test_every_task_is_trained_with_every_remedy(build):
    torch.manual_seed(0)
    penalties = [Outside(), Area(), Identity(), Equivariance()]
    task = build(localisation=partial(Bounded, localisation=SMALL, reach=0.4), penalties=penalties, theta_clip=2.0)
    task.setup = lambda stage: None
    images = torch.rand(4, *task.hparams["input_shape"])
    task.penalty(task(images), images).backward()
    heads = [net.head for net in task.modules() if isinstance(net, Localisation)]
    assert heads
    assert all(head.bias.grad.abs().max() > 0 for head in heads)


@pytest.mark.parametrize("compile", [False, True])
def test_clipped_run_is_that_of_clipped_gradients(make, trainer, digits, compile):
    """One step of SGD: the bias moves by the sum of the thetas' gradients, each clipped to the median."""
    options = {"optimizer": partial(torch.optim.SGD, lr=1.0), "localisation_lr_scale": 1.0}
    task = make(theta_clip=1.0, compile=compile, **options)
    plain = make(**options)
    data = digits()
    seen = {}

    def remember(module, args, output):
        output.register_hook(lambda gradient: seen.update(gradient=gradient))

    (net,) = (module for module in plain.modules() if isinstance(module, Localisation))
    net.register_forward_hook(remember)
    steps = {"max_steps": 1, "limit_val_batches": 0}
    for each in (plain, task):
        before = next(module for module in each.modules() if isinstance(module, Localisation)).head.bias.detach().clone()
        trainer(**steps).fit(each, digits() if each is plain else data)
        after = next(module for module in each.modules() if isinstance(module, Localisation)).head.bias
        seen[each] = before - after.detach()
    gradient = seen["gradient"]
    length = torch.linalg.vector_norm(gradient, dim=2, keepdim=True)
    clipped = gradient * (length[length > 0].median() / length).clamp(max=1)
    torch.testing.assert_close(seen[plain], gradient.sum((0, 1)), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(seen[task], clipped.sum((0, 1)), rtol=1e-4, atol=1e-6)
    assert (seen[task] - seen[plain]).abs().max() > 1e-3 * seen[plain].abs().max()


def test_prediction_is_not_changed_by_clipping(make):
    task, plain = make(theta_clip=1.0), make()
    assert torch.equal(task.eval()(IMAGES).prediction, plain.eval()(IMAGES).prediction)


@pytest.mark.parametrize("name", ["attention", "similarity", "affine", "projective", "tps"])
def test_number_as_initial_is_a_central_window(make, name):
    warp = make(transform=name, initial=0.5)(IMAGES).warps["input"]
    expected = registry["attention"]().grid(torch.tensor([[0.5, 0.0, 0.0]]), (28, 28)).expand(4, -1, -1, -1)
    torch.testing.assert_close(warp.grid, expected, rtol=0, atol=1e-6)


def test_sequence_starts_zoomed_where_it_is_asked_to():
    transforms = {"input": registry["affine"](), "conv1": registry["affine"]()}
    task = sequence(transform=transforms, initial={"input": 0.5})
    thetas = {name: warp.theta[0].tolist() for name, warp in task(torch.rand(2, 1, 32, 32)).warps.items()}
    assert thetas["input"] == pytest.approx([0.5, 0, 0, 0, 0.5, 0], abs=1e-6)
    assert thetas["conv1"] == [1, 0, 0, 0, 1, 0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"initial": 0.0}, "initial, a scale, above 0; got 0.0"),
        ({"initial": -1}, "initial, a scale, above 0; got -1"),
        ({"initial": 0.5, "transform": "translation"}, "upright windows of 0.5 of the image, or initial"),
        ({"theta_clip": 0.0}, "theta_clip above 0, got 0.0"),
    ],
    ids=str,
)
def test_arguments_that_make_no_sense(make, options, text):
    with pytest.raises(ValueError, match=text):
        make(**options)


def test_remedies_are_kept_in_the_checkpoint(digits, built_again):
    torch.manual_seed(0)
    task = Classification(
        (1, 28, 28),
        10,
        network=partial(FCN, width=8),
        transform=registry["affine"](),
        localisation=partial(Bounded, localisation=SMALL, reach=[0.5, 0.1, 0.5, 0.1, 0.5, 0.5]),
        initial=0.8,
        penalties=[Outside(2.0), Area(most=1.5)],
        theta_clip=3.0,
    )
    again = built_again(task, digits())
    assert torch.equal(task.eval()(IMAGES).prediction, again(IMAGES).prediction)
    assert [(type(p), p.weight) for p in again.penalties] == [(Outside, 2.0), (Area, 1.0)]
    assert again.theta_clip == 3.0


def test_command_line_takes_remedies_by_name(stn):
    options = ["--model.penalties+=Outside", "--model.penalties.weight=2", "--model.penalties+=Area"]
    options += ["--model.localisation=bounded", "--model.localisation.localisation=fc", "--model.initial=0.7"]
    done = stn(
        "fit",
        "--data.source=digits",
        "--model.network=FCN",
        "--model.transform=affine",
        *options,
        "--model.theta_clip=2",
        "--model.sampler=bilinear",
        "--model.sampler.padding_mode=background",
        "--trainer.fast_dev_run=1",
        "--trainer.accelerator=cpu",
    )
    assert done.code == 0, done.err
