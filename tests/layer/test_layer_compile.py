"""torch.compile takes the whole layer as one graph, and changes no number."""

import pytest
import torch

SHAPE = (2, 6, 7)
LAYERS = [
    ("translation", "bilinear", False),
    ("attention", "nearest", False),
    ("similarity", "bilinear", False),
    ("affine", "bicubic", False),
    ("affine", "bilinear", True),
    ("projective", "bilinear", False),
    ("tps", "bilinear", False),
    ("tps", "bicubic", True),
]
EXACT = {"rtol": 0, "atol": 1e-6}  # the same operations on float32 numbers of magnitude 1


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch.compiler.reset()


def compiled(layer):
    return torch.compile(layer, fullgraph=True, backend="aot_eager")


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize(("transform", "sampler", "learn"), LAYERS)
def test_compiled_layer_and_its_gradients_are_those_of_eager(make, transform, sampler, learn, warm):
    x = torch.randn(3, *SHAPE)
    eager, layer = make(transform, sampler, learn=learn), make(transform, sampler, learn=learn)
    if warm:
        layer(x)
    output, expected = compiled(layer)(x), eager(x)
    for ours, theirs in zip(output, expected, strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)
    output.output.square().mean().backward()
    expected.output.square().mean().backward()
    for ours, theirs in zip(layer.parameters(), eager.parameters(), strict=True):
        if theirs.grad is None:
            assert sampler == "nearest"
        else:
            torch.testing.assert_close(ours.grad, theirs.grad, **EXACT)


@pytest.mark.parametrize("transform", ["affine", "projective", "tps"])
def test_one_compiled_layer_takes_other_batches(make, transform):
    layer = make(transform)
    step = compiled(layer)
    for batch in (3, 1, 5, 8):
        x = torch.randn(batch, *SHAPE)
        torch.testing.assert_close(step(x).output, layer(x).output, **EXACT)


@pytest.mark.parametrize("transform", ["affine", "projective", "tps"])
def test_one_compiled_layer_takes_other_sizes(make, transform):
    layer = make(transform, output_size=None)
    warp = torch.compile(layer.warp, fullgraph=True, backend="aot_eager")
    for size in [(6, 7), (9, 4), (3, 11)]:
        x, theta = torch.randn(3, 2, *size), layer.transform.identity() + 0.1 * torch.randn(3, 1)
        torch.testing.assert_close(warp(x, theta).output, layer.warp(x, theta).output, **EXACT)


@pytest.mark.parametrize("transform", ["affine", "tps"])
def test_compiled_under_autocast_keeps_geometry_in_float32(make, transform):
    layer, x = make(transform), torch.randn(3, *SHAPE)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        warped = compiled(layer)(x)
    assert warped.grid.dtype == torch.float32
    exact = layer.transform.grid(warped.theta.double(), (5, 8))
    torch.testing.assert_close(warped.grid.double(), exact, **EXACT)


def test_first_compiled_in_inference_mode_then_trained(make):
    layer, x = make("tps"), torch.randn(3, *SHAPE)
    step = compiled(layer)
    with torch.inference_mode():
        step(x)
    step(x).output.sum().backward()
    assert layer.localisation.head.weight.grad.abs().max() > 0
