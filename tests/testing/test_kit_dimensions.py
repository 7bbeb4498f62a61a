"""Our own parts on lines and in space keep the contract that a plugin must keep."""

from stn_lightning.testing import LocalisationChecks, SamplerChecks, TransformChecks


class TestAffineOfALine(TransformChecks):
    name = "affine1d"


class TestAffineOfSpace(TransformChecks):
    name = "affine3d"


class TestLinear(SamplerChecks):
    name = "linear"
    variants = ({}, {"padding_mode": "border"}, {"padding_mode": "reflection"}, {"deterministic": True})


class TestTrilinear(SamplerChecks):
    name = "trilinear"
    variants = ({}, {"padding_mode": "border"}, {"padding_mode": "reflection"}, {"deterministic": True})


class TestConvolutionalOnSignals(LocalisationChecks):
    name = "conv1d"


class TestConvolutionalOnVolumes(LocalisationChecks):
    name = "conv3d"
    variants = ({"filters": 4},)
