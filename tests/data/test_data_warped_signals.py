"""WarpedSignals: shapes, their warps, and that signals are whose they are."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from stn_lightning.data import WarpedSignals
from stn_lightning.data._warped_signals import shapes
from stn_lightning.networks import SignalCNN


def first_batch(data, epoch=0):
    loader = data.train_dataloader()
    loader.set_epoch(epoch)
    return data.on_after_batch_transfer(next(iter(loader)), 0)


def test_batches_are_signals_with_their_classes():
    data = WarpedSignals(batch_size=40, num_evaluated=100)
    assert (data.input_shape, data.num_classes) == ((1, 128), 10)
    for signals, targets in [first_batch(data), next(iter(data.val_dataloader()))]:
        assert (signals.shape, signals.dtype, targets.shape) == ((40, 1, 128), torch.float32, (40,))
    targets = torch.cat([target for _, target in data.test_dataloader()])
    assert targets.bincount().tolist() == [10] * 10


def test_training_signals_are_drawn_anew_and_by_the_seed():
    one, again = (first_batch(WarpedSignals(seed=0)) for _ in range(2))
    assert torch.equal(one[0], again[0])
    assert not torch.equal(one[0], first_batch(WarpedSignals(seed=0), epoch=1)[0])
    assert not torch.equal(one[0], first_batch(WarpedSignals(seed=1))[0])


def test_evaluated_signals_do_not_depend_on_batches_or_the_training_seed():
    def whole(**options):
        return torch.cat([signals for signals, _ in WarpedSignals(num_evaluated=50, **options).test_dataloader()])

    assert torch.equal(whole(seed=0, batch_size=50), whole(seed=1, batch_size=7))
    assert not torch.equal(whole(), whole(evaluation_seed=1))


def test_shapes_have_unit_power_and_differ():
    found = shapes()[:, 0]
    torch.testing.assert_close(found.square().mean(1), torch.ones(10))
    distances = torch.cdist(found, found) / 64**0.5 + 9 * torch.eye(10)
    assert distances.min() > 0.4


def test_signal_is_its_shape_in_a_window_of_time_and_nothing_elsewhere():
    """Without bend and noise, by NumPy's interpolation of the shape at the best window that a search finds."""
    data = WarpedSignals(length=200, shortest=0.5, bend=0.0, noise=0.0, seed=3, batch_size=4)
    signals, targets = first_batch(data)
    time = (2 * np.arange(200) + 1) / 200 - 1
    samples = (2 * np.arange(64) + 1) / 64 - 1
    for signal, target in zip(signals[:, 0].numpy(), targets.tolist(), strict=True):
        inside = np.flatnonzero(np.abs(signal) > 1e-3)
        ends = time[inside[[0, -1]]]
        best = np.inf
        for low in ends[0] + np.linspace(-0.04, 0.04, 33):
            for high in ends[1] + np.linspace(-0.04, 0.04, 33):
                u = (2 * time - low - high) / (high - low)
                expected = np.interp(u, samples, shapes()[target, 0].numpy(), left=0, right=0)
                best = min(best, np.abs(expected - signal)[np.abs(u) < 0.95].max())
        assert best < 0.15
        assert (ends[1] - ends[0]) / 2 >= 0.5 - 0.02


def test_windows_have_the_shares_and_places_that_are_said():
    """Where a shape of ones stands."""
    data = WarpedSignals(length=4000, shortest=0.5, bend=0.0, noise=0.0)
    inside = data.made(torch.ones(1000, 1, 64), torch.Generator().manual_seed(0))[:, 0] > 0.5
    ends = torch.stack([inside.int().argmax(1), 4000 - inside.flip(1).int().argmax(1)]) / 2000 - 1
    share, place = (ends[1] - ends[0]) / 2, ends.mean(0)
    assert kstest(share.numpy(), "uniform", args=(0.5, 0.5)).pvalue > 0.01
    assert kstest((place / (1 - share))[share < 0.95].numpy(), "uniform", args=(-1, 2)).pvalue > 0.01


def test_bent_time_keeps_the_ends_and_moves_the_middle():
    generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    ramp = torch.linspace(1, 2, 64).view(1, 1, -1).expand(20, -1, -1)
    straight, bent = (
        WarpedSignals(shortest=1.0, bend=bend, noise=0.0).made(ramp, generator)
        for bend, generator in zip((0.0, 0.4), generators, strict=True)
    )
    moved = (bent - straight).abs()[:, 0]
    assert moved[:, 64].max() > 0.1
    assert moved[:, 64].max() < 0.4 / 2 + 0.01
    assert moved[:, [4, -5]].max() < 0.05
    assert (bent.diff(dim=2)[:, :, 4:-4] > 0).all()  # time runs forward


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"shortest": 0.0}, "shortest in"),
        ({"bend": 0.5}, "bend in"),
        ({"noise": -1.0}, "noise of at least 0"),
        ({"length": 0}, "length, num_training"),
        ({"batch_size": 0}, "batch_size of at least 1"),
    ],
    ids=str,
)
def test_what_is_out_of_range_is_refused(wrong, said):
    with pytest.raises(ValueError, match=f"expected.*{said}.*got"):
        WarpedSignals(**wrong)


def test_network_of_signals_refuses_images():
    network = SignalCNN((1, 64), 10, parameters=5000)
    assert network(torch.zeros(2, 1, 64)).prediction.shape == (2, 10)
    with pytest.raises(ValueError, match=r"expected input_shape \(C, L\), got \(1, 64, 64\)"):
        SignalCNN((1, 64, 64), 10)
