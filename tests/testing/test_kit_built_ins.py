"""Our own parts keep the contract that a plugin must keep; some samplers stand in tests/samplers, beside their own tests."""

from stn_lightning.testing import LocalisationChecks, SamplerChecks, TransformChecks

FREE = [[-0.9, -0.8], [0.7, -0.9], [0.1, 0.05], [-0.6, 0.9], [0.8, 0.75], [0.3, -0.4]]
LEARNED = {"learn_basis": True, "basis_size": (5, 4)}


class TestTranslation(TransformChecks):
    name = "translation"
    variants = ({},)


class TestZoomedTranslation(TransformChecks):
    name = "translation"
    variants = ({"scale": 0.5},)


class TestAttention(TransformChecks):
    name = "attention"


class TestSimilarity(TransformChecks):
    name = "similarity"


class TestAffine(TransformChecks):
    name = "affine"
    variants = ({}, LEARNED)


class TestProjective(TransformChecks):
    name = "projective"


class TestThinPlateSpline(TransformChecks):
    name = "tps"
    variants = ({}, {"grid_size": (3, 5)}, {"control_points": FREE, "regularisation": 0.1}, LEARNED)
    inductor = True


class TestNearest(SamplerChecks):
    name = "nearest"
    variants = ({}, {"padding_mode": "border"}, {"padding_mode": "reflection"})


class TestBilinear(SamplerChecks):
    name = "bilinear"
    variants = ({}, {"padding_mode": "border"}, {"padding_mode": "reflection"})
    inductor = True


class TestBicubic(SamplerChecks):
    name = "bicubic"
    variants = ({}, {"padding_mode": "border"}, {"padding_mode": "reflection"})


class TestFullyConnected(LocalisationChecks):
    name = "fc"
    variants = ({}, {"units": (16,)})


class TestConvolutional(LocalisationChecks):
    name = "conv"
    variants = ({}, {"filters": 4, "units": 8, "downsample": 3})
    inductor = True


class TestBackbone(LocalisationChecks):
    name = "backbone"
    variants = ({"filters": 8, "units": 8},)


class TestSoftArgmax(LocalisationChecks):
    name = "soft_argmax"
    variants = ({}, {"sharpness": 1.0})
