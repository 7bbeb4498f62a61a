"""Analytic gradients against finite differences, in float64.

A sampler's kernel has kinks where a sampled pixel coordinate is an integer (bilinear, and the second derivative of bicubic) or
half of one (nearest's jumps, reflection at an edge). ``clear`` draws thetas until every coordinate is a hundredth of a pixel
away from all of them, ten thousand times the step of the finite differences.
"""

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from stn_lightning.geometry import normalised_to_pixel
from stn_lightning.samplers import registry as samplers
from stn_lightning.transforms import registry

INPUT, OUTPUT = (4, 5), (2, 3)
HAS_SECOND = tuple(int(n) for n in torch.__version__.split(".")[:2]) >= (2, 13)
second = pytest.mark.skipif(not HAS_SECOND, reason="second derivatives of grid_sample need torch 2.13")
MODES = [
    (s, p, a) for s in ("nearest", "bilinear", "bicubic") for p in ("zeros", "border", "reflection") for a in (False, True)
]


def clear(transform, draw, align_corners=False):
    for _ in range(1000):  # one in three is clear
        theta = draw(transform, 2)
        pixels = normalised_to_pixel(transform.grid(theta, OUTPUT, align_corners), INPUT, align_corners)
        if (2 * pixels - (2 * pixels).round()).abs().min() > 0.02:
            return theta.requires_grad_()
    raise AssertionError("no theta is clear of the kernels' kinks")


def layer(transform, sampler, align_corners=False):
    return lambda x, theta: sampler(x, transform.grid(theta, OUTPUT, align_corners), align_corners)


def image():
    return torch.randn(2, 1, *INPUT, dtype=torch.float64, requires_grad=True)


def test_gradient_of_the_grid(transform, draw):
    theta = draw(transform, 2).requires_grad_()
    assert gradcheck(lambda t: transform.grid(t, OUTPUT), theta)
    assert gradgradcheck(lambda t: transform.grid(t, OUTPUT).square(), theta)  # squared: the grid is linear in most thetas


def test_gradient_of_points(transform, draw):
    theta = draw(transform, 2).requires_grad_()
    xy = 2 * torch.rand(4, 2, dtype=torch.float64) - 1
    assert gradcheck(lambda t: transform.points(t, xy), theta)


def test_gradient_through_the_sampler(transform, draw):
    assert gradcheck(layer(transform, samplers["bilinear"]()), (image(), clear(transform, draw)))


@second
def test_second_derivative_through_the_sampler(transform, draw):
    assert gradgradcheck(layer(transform, samplers["bilinear"]()), (image(), clear(transform, draw)))


@pytest.mark.parametrize(("sampler", "padding", "align_corners"), MODES)
def test_gradient_of_every_sampler(draw, sampler, padding, align_corners):
    transform = registry["affine"]()
    inputs = image(), clear(transform, draw, align_corners)
    assert gradcheck(layer(transform, samplers[sampler](padding_mode=padding), align_corners), inputs)


@second
@pytest.mark.parametrize(("sampler", "padding", "align_corners"), [m for m in MODES if m[0] != "nearest"])
def test_second_derivative_of_every_sampler(draw, sampler, padding, align_corners):
    transform = registry["similarity"]()
    inputs = image(), clear(transform, draw, align_corners)
    assert gradgradcheck(layer(transform, samplers[sampler](padding_mode=padding), align_corners), inputs)


@pytest.mark.parametrize("name", ["affine", "tps"])
def test_gradient_of_a_learned_basis(name, draw):
    transform = registry[name](learn_basis=True, basis_size=OUTPUT).double()
    (basis,) = transform.parameters()
    assert gradcheck(lambda basis, theta: transform.grid(theta, OUTPUT), (basis, draw(transform, 2).requires_grad_()))
