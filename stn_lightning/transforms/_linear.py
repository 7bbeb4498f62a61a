"""Transforms whose grid is linear in theta: ``T_theta = M_theta B`` (Jaderberg et al. 2015, section 3.2)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stn_lightning.geometry import checked_size, grid_sample, regular_points
from stn_lightning.transforms._constants import frozen
from stn_lightning.transforms._product import linear_forms
from stn_lightning.transforms._transform import Transform


class LinearTransform(Transform):
    """A transform ``M_theta B``: K basis functions of the target point, shared by all coordinates and samples.

    Source coordinate d of target point p is ``p_d + sum_k (M_theta - M_identity)[d, k] * B[k, p]``: the regular grid exactly
    at the identity, and elsewhere with a rounding error in proportion to the displacement. A subclass gives
    ``coefficients`` (M_theta) and ``basis`` (B).

    Args:
        learn_basis: learn B for the task at hand (the paper's remark in section 3.2): a parameter of shape (K, N), zero at
            first, is added to the analytic B. The identity stays the identity whatever B is.
        basis_size: (H, W) of the output at which B is learned; required with ``learn_basis``, and then the only size.
        basis_rank: r, from 1 to K: what is added is the product of two parameters instead, (K, r), of random orthonormal
            columns at first, and (r, N), which is zero. "Low rank" is the regularisation that the authors named to their
            reviewers; at K = 16 and r = 2 it has an eighth of the parameters. None for a parameter of (K, N).

    Raises:
        ValueError: if ``basis_size`` is missing or malformed, or ``basis_rank`` out of range; later, if the output size is
            another.
    """

    def __init__(
        self, learn_basis: bool = False, basis_size: Sequence[int] | None = None, basis_rank: int | None = None
    ) -> None:
        super().__init__()
        if learn_basis != (basis_size is not None):
            raise ValueError(f"expected basis_size with learn_basis, and only then; got {learn_basis=}, {basis_size=}")
        self.basis_size = checked_size(basis_size, self.ndim, "basis_size") if basis_size is not None else None
        if basis_rank is not None and not learn_basis:
            raise ValueError(f"expected basis_rank only with learn_basis, got {learn_basis=}, {basis_rank=}")
        self.basis_rank = basis_rank
        self.learned_basis: nn.Parameter | None = None
        self.basis_mixture: nn.Parameter | None = None

    def _add_learned_basis(self, num_functions: int) -> None:
        if self.basis_size is None:
            return
        rank = num_functions if self.basis_rank is None else self.basis_rank
        if not 1 <= rank <= num_functions:
            raise ValueError(f"expected basis_rank from 1 to {num_functions}, the number of basis functions; got {rank}")
        self.learned_basis = nn.Parameter(torch.zeros(rank, *self.basis_size).flatten(1))
        if self.basis_rank is not None:
            self.basis_mixture = nn.Parameter(nn.init.orthogonal_(torch.empty(num_functions, rank)))

    @abstractmethod
    def coefficients(self, theta: Tensor) -> Tensor:
        """M_theta: (B, ndim, K) of theta (B, P); an affine function of theta."""

    @abstractmethod
    def basis(self, xy: Tensor) -> Tensor:
        """B: (K, N), the basis functions at points (N, ndim)."""

    def anchor(self) -> Tensor:
        """The theta at which the product vanishes, (P,): the identity, where there is one."""
        return self.identity()

    def base(self, xy: Tensor) -> Tensor:
        """(N, ndim), the source points under ``anchor``: ``xy`` itself, where that is the identity."""
        return xy

    def points(self, theta: Tensor, xy: Tensor) -> Tensor:
        wide = xy.double() if xy.device.type != "mps" else xy
        basis = self._with_learned(self.basis(wide).to(theta.dtype), xy)
        anchor = self._anchor_coefficients().to(theta)
        moved = linear_forms(self.coefficients(theta) - anchor, basis)
        return (moved + self.base(wide).T.to(theta.dtype)).transpose(1, 2)

    def _regular(self, theta: Tensor, size: tuple[int, ...], align_corners: bool) -> Tensor:
        coefficients = self.coefficients(theta)
        where = size, align_corners, theta.dtype, theta.device
        if self.learned_basis is not None:
            if size != self.basis_size:
                raise ValueError(
                    f"{type(self).__name__}: expected output size {self.basis_size}, at which the basis is learned; got {size}"
                )
            basis, base, anchor = self._planar(*where)
            (xy,) = self._regular_points(*where)
            basis = self._with_learned(basis[: anchor.shape[1]], xy)
            return (linear_forms(coefficients - anchor, basis) + base).transpose(1, 2)
        if theta.device.type == "cpu" and coefficients.shape[2] <= self.ndim + 1:
            # interleaved: the GEMM writes (x, y) pairs, and adds the base as its bias
            pairs, base, anchor = self._interleaved(*where)
            grid = torch.addmm(base, (coefficients - anchor).flatten(1), pairs)
            return grid.view(theta.shape[0], base.shape[0] // self.ndim, self.ndim)
        # planar: the base is a further ndim basis functions with coefficient one
        planes, _, anchor = self._planar(*where)
        unit = torch.eye(self.ndim, dtype=theta.dtype, device=theta.device).expand(theta.shape[0], -1, -1)
        return linear_forms(torch.cat([coefficients - anchor, unit], dim=2), planes).transpose(1, 2)

    @frozen
    def _planar(
        self, size: tuple[int, ...], align_corners: bool, dtype: torch.dtype, device: torch.device
    ) -> tuple[Tensor, ...]:
        def build() -> tuple[Tensor, ...]:
            xy = regular_points(size, align_corners)
            base = self.base(xy).T
            return torch.cat([self.basis(xy), base]), base, self._anchor_coefficients()

        return self._constants.get(("planar", size, align_corners), build, dtype, device)

    @frozen
    def _interleaved(
        self, size: tuple[int, ...], align_corners: bool, dtype: torch.dtype, device: torch.device
    ) -> tuple[Tensor, ...]:
        def build() -> tuple[Tensor, ...]:
            xy = regular_points(size, align_corners)
            # (K, N) -> (ndim, K, N, ndim), zero where a coefficient is of another coordinate
            pairs = torch.einsum("kn,de->dkne", self.basis(xy), torch.eye(self.ndim, dtype=xy.dtype))
            return pairs.flatten(2).flatten(0, 1), self.base(xy).reshape(-1), self._anchor_coefficients()

        return self._constants.get(("interleaved", size, align_corners), build, dtype, device)

    def _anchor_coefficients(self) -> Tensor:
        return self.coefficients(self.anchor().double()[None])[0]

    def _with_learned(self, basis: Tensor, xy: Tensor) -> Tensor:
        """The analytic B (K, N) at ``xy``, and what was learned of it: linear between the points of ``basis_size``."""
        if self.learned_basis is None or self.basis_size is None:
            return basis
        table = self.learned_basis.to(basis.dtype)
        if self.basis_mixture is not None:
            table = linear_forms(self.basis_mixture.to(basis.dtype)[None], table)
        table = table.view(1, -1, *self.basis_size)
        where = xy.to(basis.dtype).view(1, *[1] * (self.ndim - 1), -1, self.ndim)
        return basis + grid_sample(table, where, padding_mode="border").flatten(2)[0]
