"""What ``grid`` refuses, and that it says what it expected and got."""

import pytest
import torch

from stn_lightning.transforms import registry


@pytest.mark.parametrize(
    "theta",
    [
        lambda p: torch.zeros(p),
        lambda p: torch.zeros(2, p, 1),
        lambda p: torch.zeros(2, p + 1),
        lambda p: torch.zeros(2, p - 1),
        lambda p: torch.zeros(p + 1, p + 1).T[:, :0],
        lambda p: torch.zeros(2, p, dtype=torch.int64),
        lambda p: torch.zeros(2, p, dtype=torch.bool),
        lambda p: torch.zeros(2, p, dtype=torch.complex64),
    ],
    ids=["rank 1", "rank 3", "P + 1", "P - 1", "P = 0", "int64", "bool", "complex"],
)
def test_theta_of_another_shape_or_dtype_is_refused(transform, theta):
    with pytest.raises(ValueError, match=f"{type(transform).__name__}.*expected.*got"):
        transform.grid(theta(transform.num_params), (4, 5))


@pytest.mark.parametrize("size", [(), (4,), (2, 3, 4), (0, 5), (4, -1)], ids=str)
def test_size_that_is_none_is_refused(transform, size):
    with pytest.raises(ValueError, match=f"{type(transform).__name__}.*expected.*got"):
        transform.grid(transform.identity()[None], size)


@pytest.mark.parametrize("size", [(2.5, 4), 4], ids=str)
def test_size_that_is_no_pair_of_integers_is_refused(size):
    with pytest.raises(ValueError, match=r"Affine.*expected.*got"):
        registry["affine"]().grid(torch.zeros(1, 6), size)


@pytest.mark.parametrize("size", [[4, 5], torch.Size([4, 5]), torch.zeros(1, 4, 5).shape[1:]], ids=["list", "Size", "shape"])
def test_any_sequence_is_a_size(transform, size):
    assert transform.grid(transform.identity()[None], size).shape == (1, 4, 5, 2)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_window_of_no_side_is_refused(scale):
    with pytest.raises(ValueError, match=r"expected scale.*got"):
        registry["translation"](scale=scale)
