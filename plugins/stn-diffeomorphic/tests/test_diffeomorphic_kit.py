"""The contract of a transform."""

from stn_lightning.testing import TransformChecks


class TestDiffeomorphic(TransformChecks):
    name = "diffeomorphic"
    variants = ({}, {"grid_size": (3, 5), "max_velocity": 0.1, "fixed_frame": True})
