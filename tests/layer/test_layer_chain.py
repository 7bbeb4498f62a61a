"""A chain of spatial transformers is one warp of its input, by the product of its steps."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch.export import Dim, export

from stn_lightning import SpatialTransformer, SpatialTransformerChain, Warped
from stn_lightning.localisations import registry as localisations
from stn_lightning.samplers import registry as samplers
from stn_lightning.transforms import Translation
from stn_lightning.transforms import registry as transforms

SHAPE = (2, 9, 8)
COMPOSING = ["translation", "attention", "similarity", "affine", "projective"]
EXACT = {"rtol": 0, "atol": 1e-6}  # the same operations on float32 numbers of magnitude 1
both = pytest.mark.parametrize("align_corners", [False, True])


def net(theta):
    """A net whose theta is the same for all images."""
    return localisations["fc"](SHAPE, torch.as_tensor(theta).float()[None], units=(4,))


def moving(transform, count, shared=False):
    """Nets whose thetas depend on the image, as after some training."""
    nets = [net(transform.identity()) for _ in range(1 if shared else count)]
    with torch.no_grad():
        for each in nets:
            each.head.weight.normal_(0, 0.1)
    return nets * count if shared else nets


def chain(name="affine", count=3, shared=False, **options):
    torch.manual_seed(2)
    transform = transforms[name]()
    return SpatialTransformerChain(moving(transform, count, shared), transform, samplers["bilinear"](), **options)


@pytest.fixture
def x():
    torch.manual_seed(0)
    return torch.rand(3, *SHAPE)


@both
def test_projective_chain_is_scipys_single_sampling_by_the_product(x, align_corners):
    thetas = torch.eye(3).flatten()[:8] + 0.1 * torch.randn(3, 8)
    layer = SpatialTransformerChain([net(t) for t in thetas], transforms["projective"](), samplers["bilinear"](), (5, 6))
    layer.align_corners = align_corners
    product = np.linalg.multi_dot([np.append(t.double().numpy(), 1).reshape(3, 3) for t in thetas])
    axes = [np.linspace(-1, 1, n) if align_corners else (2 * np.arange(n) + 1) / n - 1 for n in (5, 6)]
    source = product @ np.stack([*np.meshgrid(*axes, indexing="ij")[::-1], np.ones((5, 6))]).reshape(3, -1)
    places = source[:2] / source[2]
    half = [((n - 1) / 2 if align_corners else n / 2) for n in (SHAPE[2], SHAPE[1])]
    column, row = ((places[i] * half[i] + (SHAPE[2 - i] - 1) / 2).reshape(5, 6) for i in range(2))
    warped = layer(x)
    for image, output in zip(x.double().numpy(), warped.output.detach(), strict=True):
        for channel, got in zip(image, output, strict=True):
            expected = ndimage.map_coordinates(channel, [row, column], order=1, mode="grid-constant")
            np.testing.assert_allclose(got, expected, atol=1e-5)
    np.testing.assert_allclose(warped.grid[1].detach().reshape(-1, 2).T, places, atol=1e-5)


@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
def test_each_step_sees_the_input_through_the_product_of_those_before(x, shared):
    layer = chain(shared=shared)
    eye = torch.eye(3).expand(len(x), 3, 3)
    product, seen = eye, x
    for localisation, step in zip(layer.localisations, layer.steps(x), strict=True):
        product = product @ torch.cat([localisation(seen).view(-1, 2, 3), eye[:, 2:]], dim=1)
        seen = F.grid_sample(x, F.affine_grid(product[:, :2], list(x.shape), align_corners=False), align_corners=False)
        torch.testing.assert_close(step.output, seen, rtol=0, atol=1e-5)
        torch.testing.assert_close(step.theta, product[:, :2].flatten(1), rtol=0, atol=1e-6)


def test_what_a_step_cuts_off_the_next_one_brings_back(x):
    out, back = [1.0, 0, 1.5, 0, 1, 0], [1.0, 0, -1.5, 0, 1, 0]
    parts = transforms["affine"](), samplers["bilinear"]()
    torch.testing.assert_close(SpatialTransformerChain([net(out), net(back)], *parts)(x).output, x, **EXACT)
    twice = SpatialTransformer(net(back), *parts)(SpatialTransformer(net(out), *parts)(x).output).output
    assert (twice - x).abs().max() > 0.5


@pytest.mark.parametrize("name", COMPOSING)
def test_chain_at_the_start_is_the_identity(x, name):
    transform = transforms[name]()
    layer = SpatialTransformerChain([net(transform.identity())] * 4, transform, samplers["bilinear"]())
    torch.testing.assert_close(layer(x).output, x, rtol=0, atol=2e-7 * 9)


def test_last_step_is_the_chain_and_alone_has_the_output_size(x):
    layer = chain(output_size=(4, 5))
    warped = layer(x)
    assert isinstance(warped, Warped)
    assert warped.output.shape == (3, 2, 4, 5)
    for one, other in zip(warped, layer.steps(x)[-1], strict=True):
        assert torch.equal(one, other)
    whole = chain()
    torch.testing.assert_close(warped.theta, whole(x).theta)


def test_chain_of_one_is_a_spatial_transformer(x):
    layer = chain("projective", 1)
    single = SpatialTransformer(layer.localisations[0], layer.transform, layer.sampler)
    assert all(torch.equal(one, other) for one, other in zip(layer(x), single(x), strict=True))


def test_shared_net_counts_once_and_learns_from_every_step(x):
    assert len(list(chain(shared=True).parameters())) * 3 == len(list(chain().parameters()))
    for shared in (True, False):
        layer = chain(shared=shared)
        (layer(x).output * torch.rand(SHAPE)).sum().backward()
        assert all(parameter.grad.abs().max() > 0 for parameter in layer.parameters())
        copied = chain(shared=shared)
        copied.load_state_dict(layer.state_dict())


@pytest.mark.parametrize("cast", [False, True], ids=["autocast", "bfloat16"])
def test_product_stays_exact_in_half_precision(x, cast):
    layer = chain("projective")
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not cast):
        warped = layer.bfloat16()(x.bfloat16()) if cast else layer(x)
    assert (warped.theta.dtype, warped.grid.dtype) == (torch.float32, torch.float32)
    exact = layer.transform.grid(warped.theta.double(), SHAPE[1:])
    torch.testing.assert_close(warped.grid.double(), exact, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "shared"), [("similarity", False), ("projective", True)])
def test_compiled_and_exported_chain_gives_the_same_numbers(x, name, shared):
    torch.compiler.reset()
    layer = chain(name, shared=shared).eval()
    expected = layer(x)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")(x)
    program = export(layer, (x,), dynamic_shapes=({0: Dim("batch", min=1, max=64)},))
    more = torch.rand(5, *SHAPE)
    for got, right in ((compiled, expected), (program.module()(more), layer(more))):
        for ours, theirs in zip(got, right, strict=True):
            torch.testing.assert_close(ours, theirs, **EXACT)


def heads(count):
    return localisations["fc"](SHAPE, torch.zeros(count, 6))


AFFINE = transforms["affine"]


@pytest.mark.parametrize(
    ("nets", "transform", "message"),
    [
        ([], AFFINE(), "at least one localisation, got none"),
        ([heads(2)], AFFINE(), "one head each, got 2 in that of step 1"),
        ([heads(1), localisations["fc"]((2, 4, 4), torch.zeros(1, 6))], AFFINE(), r"one shape, got \(2, 4, 4\), \(2, 9, 8\)"),
        (
            [net(torch.zeros(32))],
            transforms["tps"](),
            "one of affine, attention, .*projective, similarity, .*translation; got ThinPlateSpline",
        ),
        ([net([0, 0])], Translation(0.5), "a transform that composes, got Translation: .*expected scale 1"),
        ([heads(1)], AFFINE(True, (9, 8)), "that composes, got Affine: .*learn_basis=False"),
    ],
    ids=["none", "heads", "shapes", "tps", "window", "learned"],
)
def test_parts_that_make_no_chain_are_refused(nets, transform, message):
    with pytest.raises(ValueError, match=message):
        SpatialTransformerChain(nets, transform, samplers["bilinear"]())
