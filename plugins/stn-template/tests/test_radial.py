import numpy as np
import pytest
import torch
from stn_lightning.testing import TransformChecks
from stn_lightning.transforms import registry


class TestRadial(TransformChecks):
    name = "radial"
    variants = ({}, {"terms": 1}, {"terms": 3})


def test_points_are_those_of_a_lens_in_opencv():
    cv2 = pytest.importorskip("cv2")
    xy = 2 * torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 1
    coefficients = [-0.2, 0.05, 0.01]
    rays = np.concatenate([xy.numpy(), np.ones((50, 1))], axis=1)
    k1, k2, k3 = coefficients
    expected, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), np.eye(3), np.array([k1, k2, 0, 0, k3]))
    points = registry["radial"](terms=3).points(torch.tensor([coefficients], dtype=torch.float64), xy)
    np.testing.assert_allclose(points[0], expected[:, 0], rtol=0, atol=1e-12)


def test_no_terms_are_refused():
    with pytest.raises(ValueError, match="expected terms of at least 1, got 0"):
        registry["radial"](terms=0)
