"""What a transform must keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from stn_lightning.geometry import regular_points
from stn_lightning.plugins import Registry
from stn_lightning.samplers import multilinear
from stn_lightning.testing._compare import flaw, pixels_off, same
from stn_lightning.testing._component_checks import DEVICES, SIZES, ComponentChecks
from stn_lightning.testing._programs import Program, check_compiled, check_exported, check_onnx
from stn_lightning.transforms import registry

LARGE: dict[int, tuple[int, ...]] = {1: (4096,), 2: (320, 448), 3: (8, 48, 64)}
SMALL: dict[int, tuple[int, ...]] = {1: (5,), 2: (3, 4), 3: (2, 3, 2)}
EXACT = 1e-10  # float64 arithmetic on numbers of magnitude 1
MOST_PIXELS_OFF = 1e-3
both = pytest.mark.parametrize("align_corners", [False, True], ids=["", "align_corners"])


class TransformChecks(ComponentChecks):
    """The contract of a transform.

    Attributes:
        spread: thetas are drawn within this distance of ``initial()``.
    """

    registry: ClassVar[Registry] = registry
    spread: ClassVar[float] = 0.2

    def draw(self, part: Any, batch: int = 3, dtype: torch.dtype = torch.float64) -> Tensor:
        """(B, P) thetas around the start."""
        around: Tensor = part.initial().to(dtype)
        return around + self.spread * (2 * torch.rand(batch, part.num_params, dtype=dtype) - 1)

    def run(self, part: Any) -> Tensor:
        torch.manual_seed(3)
        grid: Tensor = part.grid(self.draw(part), self._size(part))
        return grid

    def trained(self, part: Any) -> None:
        part.grid(self.draw(part).requires_grad_(), self._size(part)).square().sum().backward()

    @staticmethod
    def _size(part: Any) -> tuple[int, ...]:
        """The one size that a learned basis has, or any."""
        size: tuple[int, ...] = getattr(part, "basis_size", None) or SIZES[part.ndim][0]
        return size

    def _sizes(self, part: Any) -> list[tuple[int, ...]]:
        return [self._size(part)] if getattr(part, "basis_size", None) else SIZES[part.ndim]

    def test_num_params_is_that_of_identity_and_initial(self, part: Any) -> None:
        """``identity()`` and ``initial()`` are finite (P,)."""
        for name in ("identity", "initial"):
            theta = getattr(part, name)()
            assert theta.shape == (part.num_params,), (
                f"expected {name}() of shape ({part.num_params},), got {tuple(theta.shape)}"
            )
            assert torch.isfinite(theta).all(), f"{name}() is not finite: {theta.tolist()}"

    @both
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_identity_is_the_regular_grid(self, part: Any, dtype: torch.dtype, align_corners: bool) -> None:
        """``identity()`` leaves every point where it is, at every size."""
        if not part.has_identity:
            pytest.skip("has no identity")
        tolerance = 1e-12 if dtype == torch.float64 else 4 * torch.finfo(dtype).eps
        for size in self._sizes(part):
            grid = part.grid(part.identity().to(dtype)[None], size, align_corners)
            off = (grid.double() - regular_points(size, align_corners).view_as(grid)).abs().max()
            assert off <= tolerance, (
                f"identity() is not the identity at {size=}, {align_corners=}: {flaw(grid, size, align_corners)}"
            )

    @both
    def test_identity_gives_the_image_itself(self, part: Any, align_corners: bool) -> None:
        """Through linear sampling, within 1e-6 in float64 and 2e-7 * max(size) in float32."""
        if not part.has_identity:
            pytest.skip("has no identity")
        for dtype in (torch.float32, torch.float64):
            for size in self._sizes(part):
                image = torch.rand(1, 2, *size, dtype=dtype)
                grid = part.grid(part.identity().to(dtype)[None], size, align_corners)
                tolerance = 1e-6 if dtype == torch.float64 else 2e-7 * max(size)
                warped = multilinear(part.ndim, "border")(image, grid, align_corners)
                same(warped, image, tolerance, f"the identity gives the image itself at {size=}, {align_corners=}")

    @both
    def test_grid_is_the_points_of_the_regular_grid(self, part: Any, align_corners: bool) -> None:
        """``grid(theta, size)`` is ``points(theta, .)`` at the pixel centres, row by row."""
        theta = self.draw(part)
        for size in self._sizes(part):
            grid = part.grid(theta, size, align_corners)
            assert grid.shape == (3, *size, part.ndim), (
                f"expected a grid of shape {(3, *size, part.ndim)}, got {tuple(grid.shape)}"
            )
            points = part.points(theta, regular_points(size, align_corners))
            same(grid, points.reshape(grid.shape), EXACT, f"grid is points of the regular grid at {size=}, {align_corners=}")

    def test_points_do_not_depend_on_each_other(self, part: Any) -> None:
        """``points`` is a function of one target point: fewer points give fewer results, the same ones."""
        theta, xy = self.draw(part), 2 * torch.rand(12, part.ndim, dtype=torch.float64) - 1
        points = part.points(theta, xy)
        assert points.shape == (3, 12, part.ndim), f"expected points of shape (3, 12, {part.ndim}), got {tuple(points.shape)}"
        same(part.points(theta, xy[::3]), points[:, ::3], EXACT, "a point goes to the same place whatever the other points")

    def test_samples_do_not_depend_on_each_other(self, part: Any) -> None:
        """Each theta makes its own grid."""
        theta, size = self.draw(part), self._size(part)
        grid = part.grid(theta, size)
        for i in range(3):
            same(part.grid(theta[i : i + 1], size)[0], grid[i], EXACT, "a theta gives the same grid alone and in a batch")

    def test_nan_spoils_its_own_sample_only(self, part: Any) -> None:
        """A theta of NaN makes a grid of NaN, and leaves the neighbours alone."""
        theta, size = self.draw(part), self._size(part)
        clean = part.grid(theta, size)
        spoilt = theta.clone()
        spoilt[1] = float("nan")
        grid = part.grid(spoilt, size)
        assert grid[1].isnan().any(), "a theta of NaN gave a grid without NaN: the failure would pass unseen"
        same(grid[::2], clean[::2], EXACT, "NaN in one theta leaves the grids of the others alone")

    @pytest.mark.parametrize("device", DEVICES)
    def test_dtypes_and_devices(self, part: Any, device: str) -> None:
        """Grids are float32, float64 where theta is; half precision is promoted; a grid is where theta is."""
        part, size = part.to(device), self._size(part)
        wanted = {torch.bfloat16: torch.float32, torch.float16: torch.float32, torch.float32: torch.float32}
        for dtype, expected in {**wanted, torch.float64: torch.float64}.items():
            theta = self.draw(part).to(device, dtype)
            grid = part.grid(theta, size)
            assert grid.dtype == expected, f"expected a grid in {expected} of theta in {dtype}, got {grid.dtype}"
            assert grid.device.type == device, f"expected a grid on {device}, got {grid.device}"
            exact = part.grid(theta.to(expected), size)
            same(grid, exact, 0, f"theta in {dtype} gives the grid of the same numbers in {expected}")

    def test_theta_may_be_any_view(self, part: Any) -> None:
        """Non-contiguous and expanded thetas."""
        theta, size = self.draw(part), self._size(part)
        expected = part.grid(theta, size)
        same(part.grid(theta.T.contiguous().T, size), expected, EXACT, "a theta with other strides gives the same grid")
        same(part.grid(theta[:1].expand(3, -1), size)[2], expected[0], EXACT, "an expanded theta gives the same grid")

    def test_geometry_is_precise_under_any_precision(self, part: Any) -> None:
        """Within 1e-3 pixels of float64 in float32, under bfloat16 autocast, and in a module cast to bfloat16."""
        size = getattr(part, "basis_size", None) or LARGE[part.ndim]
        theta = self.draw(part, 2, torch.float32)
        exact = part.grid(theta.double(), size)
        off = pixels_off(part.grid(theta, size), exact)
        assert off < MOST_PIXELS_OFF, f"the geometry in float32 is off by {off:.2g} pixels from float64 at {size=}"
        for dtype, step in {torch.float64: 1e-9, torch.float32: 1e-5}.items():
            xy = (1.6 * torch.rand(99, part.ndim, dtype=torch.float64) - 0.8).to(dtype)
            still = part.points(theta.to(dtype), xy) == part.points(theta.to(dtype), xy + step)
            rounded = f"the geometry is computed in less than {dtype}: points {step:g} apart go to the same place"
            assert still.all(dim=-1).double().mean() < 0.5, rounded
        with torch.autocast("cpu", dtype=torch.bfloat16):
            off = pixels_off(part.grid(theta, size), exact)
        assert off < MOST_PIXELS_OFF, f"autocast reaches the geometry: off by {off:.2g} pixels at {size=}"
        off = pixels_off(part.bfloat16().grid(theta, size), exact)
        assert off < MOST_PIXELS_OFF, f"a cast of the module reaches the geometry: off by {off:.2g} pixels at {size=}"

    def test_theta_gets_a_gradient_at_the_start(self, part: Any) -> None:
        """The localisation net learns through theta: a start without a gradient never learns."""
        theta = part.initial()[None].double().requires_grad_()
        grid = part.grid(theta, self._size(part))
        assert grid.requires_grad, "theta is detached: the grid does not depend on it for autograd"
        (gradient,) = torch.autograd.grad((grid * torch.rand_like(grid)).sum(), theta)
        assert gradient.abs().max() > 0, "theta gets no gradient at initial(): it can never leave the start"
        assert torch.isfinite(gradient).all(), f"the gradient of theta at initial() is not finite: {gradient.tolist()}"

    def test_gradients(self, part: Any) -> None:
        """First and second derivatives in theta against finite differences, in float64."""
        theta = self.draw(part, 2).requires_grad_()
        size = getattr(part, "basis_size", None) or SMALL[part.ndim]
        part.double()
        assert part.grid(theta, size).requires_grad, "theta is detached: the grid does not depend on it for autograd"
        assert gradcheck(lambda t: part.grid(t, size), (theta,)), "the gradient in theta is not the derivative"
        assert gradgradcheck(lambda t: part.grid(t, size).square(), (theta,)), "the second derivative in theta is wrong"

    def test_inverse(self, part: Any) -> None:
        """``inverse(theta)`` undoes theta inside the image, where it is offered."""
        theta = self.draw(part, 2)
        undone = self._offered(part, "inverse", theta)
        inside = 0.8 * (2 * torch.rand(40, part.ndim, dtype=torch.float64) - 1)
        for one, back in zip(theta, undone, strict=True):
            moved = part.points(one[None], inside)[0]
            seen = (moved.abs() <= 1).all(dim=1)
            assert seen.any(), "no point stays inside the image: choose a smaller spread"
            returned = part.points(back[None], moved[seen])[0]
            same(returned, inside[seen], part.inverse_tolerance, "inverse(theta) undoes theta")

    def test_compose(self, part: Any) -> None:
        """``compose(outer, inner)`` is ``T_outer(T_inner(p))`` inside the image, where it is offered."""
        outer, inner = self.draw(part, 2), self.draw(part, 2)
        composed = self._offered(part, "compose", outer, inner)
        inside = 0.8 * (2 * torch.rand(40, part.ndim, dtype=torch.float64) - 1)
        for one, two, both_ in zip(outer, inner, composed, strict=True):
            between = part.points(two[None], inside)[0]
            seen = (between.abs() <= 1).all(dim=1)
            expected = part.points(one[None], between[seen])[0]
            same(part.points(both_[None], inside[seen])[0], expected, part.inverse_tolerance, "compose is one after the other")

    @staticmethod
    def _offered(part: Any, method: str, *thetas: Tensor) -> Tensor:
        if not hasattr(part, method):
            pytest.skip(f"offers no {method}")
        try:
            theta: Tensor = getattr(part, method)(*thetas)
        except ValueError as e:
            pytest.skip(f"offers no {method} with these arguments: {e}")
        return theta

    def test_compiles_into_one_graph(self, part: Any, backend: str) -> None:
        """``torch.compile(fullgraph=True)``, cold."""
        theta = self.draw(part, 3, torch.float32)
        check_compiled(Program(part, "grid", self._size(part)), [theta], backend, 1e-5)

    @pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
    @pytest.mark.parametrize("check", [check_exported, check_onnx], ids=["torch", "onnx"])
    def test_exports(self, build: Callable[[], Any], check: Callable[..., None], warm: bool) -> None:
        """``torch.export`` and ONNX with a dynamic batch, of a part that has been used or not."""
        part = build()
        theta, others = self.draw(part, 3, torch.float32), self.draw(part, 5, torch.float32)
        if warm:
            part.grid(theta, self._size(part))
        check(Program(part, "grid", self._size(part)), [theta], [others], 1e-5)

    def test_malformed_arguments_are_refused(self, part: Any) -> None:
        """Wrong rank, number or dtype of theta, and no size: a ValueError that says what was expected and got."""
        p, size = part.num_params, self._size(part)
        wrong = [
            (torch.zeros(p), size),
            (torch.zeros(2, p, 1), size),
            (torch.zeros(2, p + 1), size),
            (torch.zeros(2, p, dtype=torch.int64), size),
            (part.initial()[None], size[:-1]),
            (part.initial()[None], (*size[:-1], 0)),
        ]
        for theta, bad in wrong:
            with pytest.raises(ValueError, match=r"expected.*got"):
                part.grid(theta, bad)
