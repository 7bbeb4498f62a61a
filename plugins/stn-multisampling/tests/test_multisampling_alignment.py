"""What the gradients are for: a window of a noisy image, shrunk eightfold, is moved back to where it was."""

import pytest
import torch
from stn_lightning.samplers import Bilinear
from stn_lightning.transforms import registry

from stn_multisampling import Multisampling

PIXEL = 2 / 8  # of the output
STARTS, DISTANCE = 48, 1.5 * PIXEL


def noisy_image():
    """(1, 1, 64, 64): blobs of several output pixels under noise of single input pixels."""
    draw = torch.Generator().manual_seed(1)
    blobs = torch.nn.functional.interpolate(torch.randn(1, 1, 6, 6, generator=draw), size=(64, 64), mode="bicubic")
    return blobs + 0.8 * torch.randn(1, 1, 64, 64, generator=draw)


@pytest.fixture(scope="module")
def problem():
    """Loss of a sampler and shifts (STARTS, 2), and shifts that all lie at one distance from the right one, 0."""
    images = noisy_image().expand(STARTS, -1, -1, -1)
    translation = registry["translation"]()
    angle = 2 * torch.pi * torch.arange(STARTS) / STARTS
    starts = DISTANCE * torch.stack([angle.cos(), angle.sin()], dim=1)
    target = Bilinear("border")(images, translation.grid(torch.zeros(STARTS, 2), (8, 8)))

    def loss(sampler, shifts):
        return (sampler(images, translation.grid(shifts, (8, 8))) - target).square().mean(dim=(1, 2, 3)).sum()

    return loss, starts


def rightly_directed(sampler, problem):
    """The share of starts at which a step down the gradient comes nearer."""
    loss, starts = problem
    shifts = starts.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(sampler, shifts), shifts)
    return ((gradient * starts).sum(dim=1) > 0).float().mean().item()


def arrived(sampler, problem):
    """The share of starts from which Adam comes to within half an output pixel."""
    loss, starts = problem
    shifts = starts.clone().requires_grad_()
    optimizer = torch.optim.Adam([shifts], lr=0.1 * PIXEL)
    for _ in range(60):
        optimizer.zero_grad()
        loss(sampler, shifts).backward()
        optimizer.step()
    return (shifts.detach().norm(dim=1) < PIXEL / 2).float().mean().item()


def test_gradients_point_to_the_optimum_where_those_of_bilinear_do_not(problem):
    """Those of bilinear are no better than a coin."""
    assert rightly_directed(Bilinear("border"), problem) < 0.65
    assert rightly_directed(Multisampling("border"), problem) > 0.95


def test_more_starts_arrive(problem):
    assert arrived(Bilinear("border"), problem) < 0.2
    assert arrived(Multisampling("border"), problem) > 0.95


def test_it_is_the_footprint_of_the_warp_that_helps(problem):
    """Points that stay within an input pixel are of no use."""
    assert arrived(Multisampling("border", spread=0.0, input_spread=0.1), problem) < 0.2
    assert arrived(Multisampling("border", spread=1.0, input_spread=0.1), problem) > 0.95
