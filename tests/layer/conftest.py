"""A layer whose theta depends on its input."""

import pytest
import torch

from stn_lightning import SpatialTransformer
from stn_lightning.localisations import registry as localisations
from stn_lightning.samplers import registry as samplers
from stn_lightning.transforms import registry as transforms

SHAPE = (2, 6, 7)
ARGUMENTS = {"tps": {"grid_size": 3}}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def make():
    """A constructor of layers on (B, 2, 6, 7) maps: fully connected, with weights as after some training."""

    def make(transform, sampler="bilinear", padding="zeros", learn=False, output_size=(5, 8), **options):
        torch.manual_seed(1)  # two of the same arguments are the same layer
        arguments = {"learn_basis": True, "basis_size": output_size} if learn else {}
        built = transforms[transform](**ARGUMENTS.get(transform, {}), **arguments)
        net = localisations["fc"](SHAPE, built.identity()[None], units=(8,))
        with torch.no_grad():
            net.head.weight.copy_(0.1 * torch.randn(net.head.weight.shape))
        return SpatialTransformer(net, built, samplers[sampler](padding), output_size, **options).eval()

    return make
