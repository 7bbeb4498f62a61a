"""A NaN theta spoils its own sample, and no other."""

import pytest
import torch

from stn_lightning.samplers import registry as samplers
from stn_lightning.transforms import registry as transforms

OTHERS = [0, 2]
SAMPLERS = [(s, p) for s in ("nearest", "bilinear", "bicubic") for p in ("zeros", "border", "reflection")]


def warped_with_gradients(transform, sampler, x, theta):
    x, theta = x.clone().requires_grad_(), theta.clone().requires_grad_()
    output = sampler(x, transform.grid(theta, (5, 4)))
    gradients = torch.autograd.grad(output.square().sum(), (x, theta), allow_unused=True, materialize_grads=True)
    return output.detach(), *gradients


@pytest.mark.parametrize(("sampler", "padding"), SAMPLERS)
@pytest.mark.parametrize("name", ["translation", "attention", "similarity", "affine", "projective", "tps"])
def test_other_samples_are_as_without_it(name, sampler, padding):
    transform, read = transforms[name](), samplers[sampler](padding)
    x = torch.randn(3, 2, 6, 7)
    theta = transform.identity() + 0.1 * torch.randn(3, transform.num_params)
    spoiled = theta.clone()
    spoiled[1] = float("nan")
    clean = warped_with_gradients(transform, read, x, theta)
    for ours, expected in zip(warped_with_gradients(transform, read, x, spoiled), clean, strict=True):
        assert expected.isfinite().all()
        assert torch.equal(ours[OTHERS], expected[OTHERS])


@pytest.mark.parametrize("name", ["translation", "attention", "similarity", "affine", "projective", "tps"])
def test_the_sample_itself_is_nan(name):
    transform = transforms[name]()
    theta = torch.full((1, transform.num_params), float("nan"))
    grid = transform.grid(theta, (5, 4))
    assert grid.isnan().all()
    assert samplers["bilinear"]()(torch.randn(1, 2, 6, 7), grid).isnan().all()


def test_a_nan_input_spoils_its_own_sample(make):
    layer = make("tps")
    x = torch.randn(3, 2, 6, 7)
    expected = layer(x)
    x[1, 0, 2, 3] = float("nan")
    warped = layer(x)
    for ours, clean in zip(warped, expected, strict=True):
        assert torch.equal(ours[OTHERS], clean[OTHERS])
    assert warped.theta[1].isnan().all()
