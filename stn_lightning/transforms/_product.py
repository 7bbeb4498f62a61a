"""Products of per-sample coefficients with a constant basis, in float32 whatever the backend's matmul precision.

On tensor cores a float32 product may be rounded to TF32 (0.1 px at 448 px). No backend flag is touched here, since that
would break ``torch.compile(fullgraph=True)``: small bases are summed by broadcasting, large ones multiplied in float64.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stn_lightning.geometry import without_autocast

BROADCAST_AT_MOST = 8


def linear_forms(coefficients: Tensor, basis: Tensor) -> Tensor:
    """Sums of basis functions.

    Args:
        coefficients: (B, R, K); R forms a sample.
        basis: (K, N) values of the K basis functions at N points, of the coefficients' dtype.

    Returns:
        (B, R, N).
    """
    batch, forms, terms = coefficients.shape
    if basis.device.type == "cpu" or basis.dtype == torch.float64:
        # one GEMM: a batched product of skinny matrices is an order of magnitude slower
        with without_autocast(basis.device.type):
            return (coefficients.reshape(batch * forms, terms) @ basis).view(batch, forms, basis.shape[1])
    if terms <= BROADCAST_AT_MOST or basis.device.type == "mps":  # mps has no float64
        total = coefficients[..., :1] * basis[0]
        for k in range(1, terms):
            total = torch.addcmul(total, coefficients[..., k : k + 1], basis[k])
        return total
    return linear_forms(coefficients.double(), basis.double()).to(basis.dtype)
