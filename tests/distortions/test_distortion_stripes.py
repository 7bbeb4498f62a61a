"""Digits that only fine stripes show."""

from math import pi

import numpy as np
import pytest
import torch
from scipy import ndimage

from stn_lightning.distortions import RandomStripes
from stn_lightning.samplers import registry as samplers
from stn_lightning.transforms import Similarity

SIZE = (20, 28)


def stripes(images, seed=0, period=4.0):
    return RandomStripes(period)(images, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("ink", "axis"), [(1.0, 0), (0.0, 1)], ids=["ink", "ground"])
def test_all_power_lies_at_one_frequency(ink, axis):
    """Of one direction: down for ink, to the right for the ground."""
    image = stripes(torch.full((1, 1, *SIZE), ink, dtype=torch.float64))[0, 0].numpy()
    spectrum = np.abs(np.fft.fft2(image)) / image.size
    at = tuple(np.where(np.arange(2) == axis, np.array(SIZE) // 4, 0))
    assert spectrum[0, 0] == pytest.approx(0.5)
    assert spectrum[at] == pytest.approx(0.25)
    spectrum[0, 0] = spectrum[at] = spectrum[tuple(-np.array(at))] = 0
    assert spectrum.max() < 1e-9


def test_blurred_over_a_period_ink_and_ground_are_the_same_grey():
    drawn = torch.zeros(1, 1, 28, 28, dtype=torch.float64)
    drawn[..., 10:20, 8:18] = 1
    blurred = ndimage.uniform_filter(stripes(drawn)[0, 0].numpy(), 4)
    np.testing.assert_allclose(blurred[13:18, 11:16], 0.5, atol=1e-12)
    np.testing.assert_allclose(blurred[2:8, 2:26], 0.5, atol=1e-12)


def test_phases_are_random_and_follow_the_generator():
    images = torch.rand(50, 2, *SIZE)
    one = stripes(images, 1)
    assert torch.equal(one, stripes(images, 1))
    for images in (torch.ones(2000, 1, *SIZE), torch.zeros(2000, 1, *SIZE)):
        first = stripes(images, 3)[:, 0, 0, 0]
        quarters = torch.histc(torch.acos(2 * first - 1), 4, 0, pi) / 2000  # uniform in the angle
        assert (quarters - 0.25).abs().max() < 0.04  # 4 standard errors
    assert one.min() >= 0
    assert one.max() <= 1


KEPT = {"nearest": (1.0, 0.98), "bspline": (0.84, 0.65), "bicubic": (0.77, 0.51), "bilinear": (0.59, 0.31)}


@pytest.mark.parametrize("kernel", [*KEPT, "antialiased"])
def test_kernel_keeps_so_much_of_the_stripes(kernel):
    """Root mean square over phases, on average and at the worst place, under the warp of experiment/stripes_kernel.yaml."""
    grid = Similarity().grid(torch.tensor([[0.953, 0.55, 0, 0]]), (28, 28)).expand(400, -1, -1, -1)
    around_grey = stripes(torch.ones(400, 1, 28, 28), period=2.5) - 0.5
    kept = samplers[kernel]("border")(around_grey, grid)[:, 0, 6:22, 6:22].square().mean(0).mul(8).sqrt()
    mean, worst = KEPT.get(kernel, KEPT["bilinear"])
    assert (float(kept.mean()), float(kept.min())) == (pytest.approx(mean, abs=0.01), pytest.approx(worst, abs=0.04))


def test_period_shorter_than_pixels_can_show_is_refused():
    with pytest.raises(ValueError, match=r"expected period of at least 2 pixels, got 1\.5"):
        RandomStripes(1.5)
