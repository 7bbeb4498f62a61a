"""SequenceRecognition with a window for each position."""

from functools import partial

import pytest
import torch

from stn_lightning.data import DigitSequences
from stn_lightning.localisations import FullyConnected, Recurrent
from stn_lightning.networks import SequenceNet
from stn_lightning.tasks import SequenceRecognition
from stn_lightning.transforms import Affine

NET = partial(FullyConnected, units=(8,))
RECURRENT = partial(Recurrent, localisation=NET, units=8)
SMALL = partial(SequenceNet, filters=(4, 4), units=16)


def make(localisation=RECURRENT, **options):
    torch.manual_seed(0)
    windows = {"transform": Affine(), "per_position": True, "output_size": (20, 20), "localisation": localisation}
    return SequenceRecognition((1, 100, 100), 10, 3, network=SMALL, **{**windows, **options})


@pytest.fixture
def data():
    return DigitSequences(batch_size=64, num_validation=1000)


@pytest.mark.parametrize("localisation", [RECURRENT, NET], ids=["recurrent", "fc"])
def test_one_net_gives_a_window_for_each_position(localisation):
    task = make(localisation)
    (net,) = task.network.transformers["input"].localisations
    assert (type(net), net.num_heads) == (localisation.func, 3)
    output = task(torch.rand(2, 1, 100, 100))
    assert output.prediction.shape == (2, 3, 11)
    assert list(output.warps) == ["input.1", "input.2", "input.3"]
    for warp in output.warps.values():
        assert warp.output.shape == (2, 1, 20, 20)
        assert torch.equal(warp.theta, torch.tensor([1.0, 0, 0, 0, 1, 0]).expand(2, -1))


def test_all_windows_start_where_initial_says():
    for initial in (0.5, [0.5, 0.0, 0.0, 0.0, 0.5, 0.0]):
        thetas = [warp.theta[0].tolist() for warp in make(initial=initial)(torch.rand(1, 1, 100, 100)).warps.values()]
        assert thetas == [pytest.approx([0.5, 0, 0, 0, 0.5, 0])] * 3


def test_windows_without_a_transform_are_refused():
    with pytest.raises(ValueError, match="expected a transform with per_position, got none"):
        SequenceRecognition((1, 100, 100), 10, 3, network=SMALL, per_position=True)


def test_task_is_built_again_from_its_checkpoint(data, built_again):
    task = make()
    again = built_again(task, data)
    x = torch.rand(2, 1, 100, 100)
    with torch.no_grad():
        assert torch.equal(task.eval()(x).prediction, again(x).prediction)


def test_every_window_learns_its_own_place(data, trainer):
    task = make(optimizer=partial(torch.optim.Adam, lr=3e-3), localisation_lr_scale=1.0)
    trainer(max_epochs=2).fit(task, data)
    thetas = torch.stack([warp.theta.mean(0) for warp in task(torch.rand(8, 1, 100, 100)).warps.values()])
    assert torch.pdist(thetas).min() > 1e-3


def test_share_of_wrong_digits_is_logged(data, trainer):
    task = make()
    (logged,) = trainer().test(task, data, verbose=False)
    positions = [logged[f"test/error_position_{i}"] for i in (1, 2, 3)]
    assert logged["test/error_positions"] == pytest.approx(sum(positions) / 3)
    assert 0.7 < logged["test/error_positions"] <= 1
