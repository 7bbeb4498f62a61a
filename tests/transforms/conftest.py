"""Every built-in transform, and thetas that bend without folding points to the horizon."""

import pytest
import torch

from stn_lightning.transforms import registry

FREE = [[-0.9, -0.8], [0.7, -0.9], [0.1, 0.05], [-0.6, 0.9], [0.8, 0.75], [0.3, -0.4]]
BUILDERS = {
    "translation": lambda: registry["translation"](),
    "attention": lambda: registry["attention"](),
    "similarity": lambda: registry["similarity"](),
    "affine": lambda: registry["affine"](),
    "projective": lambda: registry["projective"](),
    "tps": lambda: registry["tps"](),
    "tps-3x5": lambda: registry["tps"](grid_size=(3, 5)),
    "piecewise_affine": lambda: registry["piecewise_affine"](),
    "flow": lambda: registry["flow"](size=(3, 4)),
    "tps-free-smooth": lambda: registry["tps"](control_points=FREE, regularisation=0.1),
}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(params=BUILDERS)
def build(request):
    """A constructor of fresh transforms."""
    return BUILDERS[request.param]


@pytest.fixture
def transform(build):
    return build()


@pytest.fixture
def draw():
    """(B, P) thetas within 0.2 of the identity; a projective denominator stays above 0.6."""

    def draw(transform, batch=3, dtype=torch.float64):
        identity = transform.identity().to(dtype)
        return identity + 0.4 * torch.rand(batch, transform.num_params, dtype=dtype) - 0.2

    return draw
