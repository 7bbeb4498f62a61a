"""The contract of a sampler."""

from stn_lightning.testing import SamplerChecks


class TestMultisampling(SamplerChecks):
    name = "multisampling"
    variants = (
        {},
        {"padding_mode": "border"},
        {"padding_mode": "reflection"},
        {"samples": 5, "spread": 0.0, "input_spread": 0.3},
    )
