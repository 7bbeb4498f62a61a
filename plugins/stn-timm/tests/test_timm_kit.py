"""The contract of a localisation net, by three families of backbones."""

from stn_lightning.testing import LocalisationChecks


class TestTimm(LocalisationChecks):
    name = "timm"
    variants = ({"model": "test_resnet"}, {"model": "test_vit", "filters": 8, "units": 16, "resize": (48, 80)})


class TestTimmOfOneChannel(LocalisationChecks):
    name = "timm"
    input_shape = (1, 28, 36)
    variants = ({"model": "test_convnext", "stage": 1},)
