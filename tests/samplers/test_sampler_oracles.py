"""Samplers against scipy, OpenCV, torch-interpol and torch's own samples, inside the frame, on it and far outside."""

import cv2
import interpol
import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torch.testing._internal.common_methods_invocations import op_db

from stn_lightning.geometry import normalised_to_pixel, pixel_to_normalised
from stn_lightning.samplers import Sampler, registry

both = pytest.mark.parametrize("align_corners", [False, True])
paddings = pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
SIZE = (7, 9)


def scipy_mode(padding, align_corners):  # not "constant", which ends the image at the centres of its corner pixels
    return {"zeros": "grid-constant", "border": "nearest", "reflection": "mirror" if align_corners else "reflect"}[padding]


def scattered(ndim=2, count=400, reach=4.0):
    """Points in [-reach, reach]: none of them halfway between two pixels, where nearest has to choose."""
    return reach * (2 * torch.rand(count, ndim, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 1)


def on_frame_and_centres(size, align_corners):
    """Points where a kernel changes its pixels: pixel centres, and the outer edges and corners of the frame."""
    rows, columns = np.mgrid[-1 : size[0] + 1, -1 : size[1] + 1]
    centres = torch.from_numpy(np.stack([columns.ravel(), rows.ravel()], axis=1)).double()
    frame = [[x, y] for x in (-1.0, 0.3, 1.0) for y in (-1.0, -0.6, 1.0)]
    return torch.cat([pixel_to_normalised(centres, size, align_corners), torch.tensor(frame, dtype=torch.float64)])


def images(*size):
    return torch.randn(1, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def sampled(sampler, image, points, align_corners):
    """(C, N) values at points (N, ndim)."""
    grid = points.view(1, *[1] * (points.shape[1] - 1), -1, points.shape[1])
    return sampler(image, grid, align_corners).flatten(2)[0]


def oracle(order, padding, image, points, align_corners):
    where = normalised_to_pixel(points, image.shape[2:], align_corners).numpy().T[::-1]
    mode = scipy_mode(padding, align_corners)
    return np.stack([map_coordinates(channel, where, order=order, mode=mode) for channel in image[0].numpy()])


@both
@paddings
@pytest.mark.parametrize(("name", "order"), [("nearest", 0), ("bilinear", 1)])
@pytest.mark.parametrize("size", [SIZE, (2, 30), (4, 4)], ids=str)
def test_values_are_those_of_scipy(name, order, size, padding, align_corners):
    image, points = images(*size), scattered()
    ours = sampled(registry[name](padding), image, points, align_corners)
    np.testing.assert_allclose(ours, oracle(order, padding, image, points, align_corners), rtol=0, atol=1e-12)


@both
@paddings
def test_bilinear_on_centres_and_frame_is_that_of_scipy(padding, align_corners):
    image, points = images(*SIZE), on_frame_and_centres(SIZE, align_corners)
    ours = sampled(registry["bilinear"](padding), image, points, align_corners)
    np.testing.assert_allclose(ours, oracle(1, padding, image, points, align_corners), rtol=0, atol=1e-12)


@both
@paddings
@pytest.mark.parametrize("where", ["scattered", "centres"])
def test_bicubic_is_that_of_opencv(where, padding, align_corners):
    """OpenCV 5 computes in float32: 1e-6 of values of magnitude 3, times the weights' sum of magnitudes."""
    border = {
        "zeros": cv2.BORDER_CONSTANT,
        "border": cv2.BORDER_REPLICATE,
        "reflection": cv2.BORDER_REFLECT_101 if align_corners else cv2.BORDER_REFLECT,
    }[padding]
    points = scattered(reach=2.0) if where == "scattered" else on_frame_and_centres(SIZE, align_corners)
    pixels = normalised_to_pixel(points, SIZE, align_corners).float()
    image = images(*SIZE).float()
    ours = sampled(
        registry["bicubic"](padding), image, pixel_to_normalised(pixels.double(), SIZE, align_corners), align_corners
    )
    x, y = pixels.numpy().T[:, None]
    expected = [cv2.remap(channel, x, y, cv2.INTER_CUBIC, borderMode=border)[0] for channel in image[0].numpy()]
    np.testing.assert_allclose(ours, np.stack(expected), rtol=0, atol=2e-5)


@both
@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic", "antialiased"])
def test_zeros_are_the_default_outside(name, align_corners):
    far = torch.full((1, 2, 2, 2), 3.0)
    assert registry[name]()(torch.ones(1, 1, 5, 5), far, align_corners).abs().max() == 0


class Trilinear(registry["bilinear"]):
    """A sampler of space: the base class takes ndim from the class."""

    ndim = 3


@both
@paddings
def test_sampler_of_space_is_that_of_scipy(padding, align_corners):
    image, points = images(3, 4, 5), scattered(ndim=3)
    ours = sampled(Trilinear(padding), image, points, align_corners)
    np.testing.assert_allclose(ours, oracle(1, padding, image, points, align_corners), rtol=0, atol=1e-12)


class Mean(Sampler):
    """What a plugin's author writes, and no more."""

    def sample(self, input, grid, align_corners):
        assert input.dtype == grid.dtype
        return input.mean(dim=(2, 3), keepdim=True).expand(-1, -1, *grid.shape[1:3])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_plugin_gets_one_dtype_and_gives_that_of_the_input(dtype):
    output = Mean()(torch.ones(2, 3, 4, 4, dtype=dtype), torch.zeros(2, 5, 6, 2))
    assert output.shape == (2, 3, 5, 6)
    assert output.dtype == dtype


@both
@paddings
@pytest.mark.parametrize("ndim", [2, 3])
def test_values_and_gradients_are_those_of_torch_interpol(ndim, padding, align_corners):
    """To first order: torch-interpol has no second derivatives."""
    image, points = images(*(5, 7, 9)[-ndim:]), scattered(ndim)
    sampler = (registry["bilinear"] if ndim == 2 else Trilinear)(padding)
    bound = {"zeros": "zero", "border": "replicate", "reflection": "dct1" if align_corners else "dct2"}[padding]
    upstream = torch.randn(3, len(points), dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def theirs(sampler, image, points, align_corners):
        where = normalised_to_pixel(points, image.shape[2:], align_corners).flip(-1)
        return interpol.grid_pull(image, where[None], 1, bound=bound, extrapolate=True).view(3, -1)

    results = []
    for function in (sampled, theirs):
        leaves = image.clone().requires_grad_(), points.clone().requires_grad_()
        values = function(sampler, *leaves, align_corners)
        results.append([values.detach(), *torch.autograd.grad(values, leaves, upstream)])
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("name", ["nn.functional.grid_sample", "grid_sampler_2d", "grid_sampler_3d"])
def test_torchs_own_samples(name, deterministic):
    """The inputs with which torch tests grid_sample: our samplers take those, and give what it gives."""
    (op,) = [op for op in op_db if op.name == name]
    modes, borders = ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection")
    samples = [sample for sample in op.sample_inputs("cpu", torch.float64) if sample.input.numel() < 1e5]
    assert len(samples) >= 12
    for sample in samples:
        grid, mode, padding, align_corners = (*sample.args, *sample.kwargs.values())[:4]
        mode, padding = modes[mode] if mode in range(3) else mode, borders[padding] if padding in range(3) else padding
        kind = type("OfSpace", (registry[mode],), {"ndim": sample.input.ndim - 2})
        ours = kind(padding, deterministic=deterministic)(sample.input, grid, align_corners)
        tolerance = 1e-10 if deterministic else 0
        torch.testing.assert_close(ours, op(sample.input, *sample.args, **sample.kwargs), rtol=0, atol=tolerance)
