"""Dtypes, shapes and refusals of ``Sampler.forward``."""

import copy
import pickle

import pytest
import torch

from stn_lightning.samplers import registry

DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(params=["nearest", "bilinear", "bicubic", "bspline", "antialiased"])
def name(request):
    return request.param


@pytest.mark.parametrize("grid_dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_output_has_the_dtype_of_the_input_and_the_precision_of_the_grid(name, dtype, grid_dtype):
    image = torch.randn(2, 3, 6, 7).to(dtype)
    grid = 2.4 * torch.rand(2, 4, 5, 2, dtype=grid_dtype) - 1.2
    output = registry[name]()(image, grid)
    exact = registry[name]()(image.double(), grid.double())
    assert output.shape == (2, 3, 4, 5)
    assert output.dtype == dtype
    # one rounding to the input's dtype, or the float32 arithmetic of the weights: not bfloat16 coordinates (0.01 and more)
    rounding = torch.finfo(dtype).eps / 2
    assert ((output.double() - exact).abs() <= rounding * exact.abs() + 5e-6).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_autocast_does_not_change_the_output(name, dtype):
    image, grid = torch.randn(2, 3, 6, 7).to(dtype), 2 * torch.rand(2, 4, 5, 2) - 1
    sampler = registry[name]()
    expected = sampler(image, grid)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = sampler(image, grid)
    assert output.dtype == dtype
    assert torch.equal(output, expected)


def test_gradients_keep_the_dtypes(name):
    image = torch.randn(2, 3, 6, 7, dtype=torch.bfloat16, requires_grad=True)
    grid = (2 * torch.rand(2, 4, 5, 2) - 1).requires_grad_()
    registry[name]()(image, grid).float().square().sum().backward()
    assert image.grad.dtype == torch.bfloat16
    assert grid.grad.dtype == torch.float32
    assert image.grad.abs().sum() > 0
    assert (grid.grad.abs().sum() > 0) == (name != "nearest")  # piecewise constant


@pytest.mark.parametrize(
    ("image", "grid"),
    [
        ((3, 6, 7), (2, 4, 5, 2)),
        ((2, 3, 5, 6, 7), (2, 4, 5, 2)),
        ((2, 3, 0, 7), (2, 4, 5, 2)),
        ((2, 3, 6, 7), (2, 4, 5, 3)),
        ((2, 3, 6, 7), (2, 4, 2)),
        ((2, 3, 6, 7), (2, 3, 4, 5, 2)),
        ((2, 3, 6, 7), (3, 4, 5, 2)),
        ((2, 3, 6, 7), (1, 4, 5, 2)),
    ],
    ids=str,
)
def test_shapes_that_do_not_fit_are_refused(name, image, grid):
    sampler = registry[name]()
    with pytest.raises(ValueError, match=f"{type(sampler).__name__}: expected .*got"):
        sampler(torch.zeros(image), torch.zeros(grid))


@pytest.mark.parametrize(
    ("image", "grid"),
    [
        (torch.int64, torch.float32),
        (torch.uint8, torch.float32),
        (torch.complex64, torch.float32),
        (torch.float32, torch.float16),
        (torch.float16, torch.float16),
        (torch.bfloat16, torch.bfloat16),
        (torch.float32, torch.int64),
    ],
    ids=str,
)
def test_dtypes_that_are_wrong_by_pixels_are_refused(name, image, grid):
    sampler = registry[name]()
    with pytest.raises(ValueError, match=f"{type(sampler).__name__}: expected .*got torch"):
        sampler(torch.zeros(1, 1, 4, 4).to(image), torch.zeros(1, 2, 2, 2).to(grid))


@pytest.mark.parametrize("padding", ["wrap", None, ""])
def test_unknown_padding_is_refused(name, padding):
    with pytest.raises(ValueError, match=r"expected padding_mode one of zeros, border, reflection.*got"):
        registry[name](padding_mode=padding)


def test_sampler_has_no_state_and_copies(name):
    sampler = registry[name]("border")
    assert sampler.state_dict() == {}
    assert sampler.ndim == 2
    image, grid = torch.randn(1, 2, 4, 5), 3 * torch.rand(1, 3, 3, 2) - 1.5
    for twin in (copy.deepcopy(sampler), pickle.loads(pickle.dumps(sampler))):
        assert torch.equal(twin(image, grid), sampler(image, grid))
