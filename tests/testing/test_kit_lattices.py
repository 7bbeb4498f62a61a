"""Transforms of many control points keep the contract that a plugin must keep."""

from stn_lightning.testing import TransformChecks


class TestPiecewiseAffine(TransformChecks):
    name = "piecewise_affine"
    variants = ({}, {"grid_size": (2, 3)})


class TestFlow(TransformChecks):
    name = "flow"
    variants = ({"size": 3}, {"size": (1, 4)}, {"size": (5, 7)})


class TestLowRankBasis(TransformChecks):
    name = "tps"
    variants = ({"grid_size": 3, "learn_basis": True, "basis_size": (5, 4), "basis_rank": 2},)
