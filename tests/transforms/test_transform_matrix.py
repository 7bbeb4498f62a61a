"""Matrix transforms are groups: they compose and invert."""

import pytest
import torch

from stn_lightning.samplers import registry as samplers
from stn_lightning.transforms import MatrixTransform, registry

EXACT = {"rtol": 0, "atol": 1e-12}  # products and inverses of well-conditioned 3x3 matrices in float64


@pytest.fixture(params=["translation", "attention", "similarity", "affine", "projective"])
def group(request):
    return registry[request.param]()


def test_matrix_and_from_matrix_are_inverse(group, draw):
    theta = draw(group)
    matrix = group.matrix(theta)
    assert isinstance(group, MatrixTransform)
    assert matrix.shape == (3, 3, 3)
    torch.testing.assert_close(group.from_matrix(matrix), theta, rtol=0, atol=0)
    torch.testing.assert_close(group.from_matrix(2.0 * matrix / 2.0), theta, rtol=0, atol=0)


def test_group_laws(group, draw):
    a, b, c = draw(group), draw(group), draw(group)
    one = group.identity().double().expand_as(a)
    torch.testing.assert_close(group.compose(group.compose(a, b), c), group.compose(a, group.compose(b, c)), **EXACT)
    torch.testing.assert_close(group.compose(a, one), a, **EXACT)
    torch.testing.assert_close(group.compose(one, a), a, **EXACT)
    torch.testing.assert_close(group.compose(a, group.inverse(a)), one, **EXACT)
    torch.testing.assert_close(group.compose(group.inverse(a), a), one, **EXACT)


def test_compose_maps_points_through_inner_then_outer(group, draw):
    outer, inner = draw(group, 1), draw(group, 1)
    xy = 2 * torch.rand(30, 2, dtype=torch.float64) - 1
    expected = group.points(outer, group.points(inner, xy)[0])
    torch.testing.assert_close(group.points(group.compose(outer, inner), xy), expected, **EXACT)
    torch.testing.assert_close(group.points(group.inverse(outer), group.points(outer, xy)[0])[0], xy, **EXACT)


@pytest.mark.parametrize("name", ["similarity", "affine", "projective"])
def test_two_warps_are_one_with_compose(name):
    """A quarter turn and a shift by two pixels do not commute, and are exact on pixels."""
    group = registry[name]()
    turn = torch.tensor([[[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]])
    shift = torch.tensor([[[1.0, 0, 4 / 8], [0, 1, 0], [0, 0, 1]]])
    outer, inner = group.from_matrix(turn), group.from_matrix(shift)
    image = torch.randn(1, 1, 8, 8)
    nearest = samplers["nearest"]()

    def warped(image, theta):
        return nearest(image, group.grid(theta, (8, 8)))

    twice = warped(warped(image, outer), inner)
    assert torch.equal(twice, warped(image, group.compose(outer, inner)))
    assert not torch.equal(twice, warped(image, group.compose(inner, outer)))


def test_window_of_fixed_scale_neither_composes_nor_inverts():
    window = registry["translation"](scale=0.5)
    theta = torch.zeros(2, 2)
    assert window.matrix(theta)[0].tolist() == [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 1]]
    for refused in (lambda: window.compose(theta, theta), lambda: window.inverse(theta)):
        with pytest.raises(ValueError, match=r"scale 0\.5.*expected scale 1"):
            refused()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_matrix_of_half_precision_is_float32(group, dtype):
    assert group.matrix(group.identity().to(dtype)[None]).dtype == torch.float32


def test_compose_and_inverse_are_exact_under_autocast(group, draw):
    outer, inner = draw(group).float(), draw(group).float()
    exact = group.compose(outer.double(), inner.double()), group.inverse(outer.double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = group.compose(outer, inner), group.inverse(outer)
    for got, expected in zip(ours, exact, strict=True):
        assert got.dtype == torch.float32
        torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-5)


def test_singular_matrix_has_no_inverse():
    with pytest.raises(torch.linalg.LinAlgError):
        registry["attention"]().inverse(torch.zeros(1, 3))
