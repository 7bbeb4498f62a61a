"""What a sampler must keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from stn_lightning.geometry import regular_points
from stn_lightning.plugins import Registry
from stn_lightning.samplers import frame_mean, registry
from stn_lightning.testing._compare import same
from stn_lightning.testing._component_checks import DEVICES, SIZES, ComponentChecks, with_other_strides
from stn_lightning.testing._programs import Program, check_compiled, check_exported, check_onnx

INPUT: dict[int, tuple[int, ...]] = {1: (7,), 2: (6, 7), 3: (4, 5, 6)}
OUTPUT: dict[int, tuple[int, ...]] = {1: (5,), 2: (4, 5), 3: (3, 2, 4)}
EXACT = 1e-10
HAS_SECOND = tuple(int(n) for n in torch.__version__.split(".")[:2]) >= (2, 13)
both = pytest.mark.parametrize("align_corners", [False, True], ids=["", "align_corners"])


class SamplerChecks(ComponentChecks):
    """The contract of a sampler."""

    registry: ClassVar[Registry] = registry

    @staticmethod
    def image(part: Any, batch: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
        """(B, 3, *size) noise."""
        return torch.randn(batch, 3, *INPUT[part.ndim], dtype=dtype)

    @staticmethod
    def grid(part: Any, batch: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
        """(B, *size, ndim) points of a smooth warp, of which some lie outside."""
        size = OUTPUT[part.ndim]
        regular = regular_points(size).view(1, *size, part.ndim)
        linear = torch.eye(part.ndim, dtype=torch.float64) + 0.4 * (torch.rand(batch, part.ndim, part.ndim).double() - 0.5)
        moved = (regular.flatten(1, -2) @ linear).view(batch, *size, part.ndim) + 0.3 * torch.rand(
            batch, *[1] * part.ndim, part.ndim
        )
        return (moved + 0.05 * torch.rand(moved.shape)).to(dtype)

    def run(self, part: Any) -> Tensor:
        torch.manual_seed(3)
        output: Tensor = part(self.image(part), self.grid(part))
        return output

    def trained(self, part: Any) -> None:
        part(self.image(part).requires_grad_(), self.grid(part).requires_grad_()).square().sum().backward()

    @both
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_regular_grid_gives_the_image_itself(self, part: Any, dtype: torch.dtype, align_corners: bool) -> None:
        """Within 1e-6 in float64 and 2e-7 * max(size) in float32, of an image of range 1."""
        for size in SIZES[part.ndim]:
            image = torch.rand(2, 3, *size, dtype=dtype)
            grid = regular_points(size, align_corners).to(dtype).view(1, *size, part.ndim).expand(2, *[-1] * (part.ndim + 1))
            tolerance = 1e-6 if dtype == torch.float64 else 2e-7 * max(*size, 5)
            same(
                part(image, grid, align_corners),
                image,
                tolerance,
                f"the regular grid gives the image at {size=}, {align_corners=}",
            )

    @both
    def test_grid_points_are_x_then_y(self, part: Any, align_corners: bool) -> None:
        """Shifts and flips by whole pixels along each axis; x is the last axis of an image."""
        size = INPUT[part.ndim]
        image = torch.rand(1, 2, *size, dtype=torch.float64)
        regular = regular_points(size, align_corners).view(1, *size, part.ndim)
        for coordinate, axis in enumerate(range(-1, -part.ndim - 1, -1)):
            n = size[axis]
            flipped = regular.clone()
            flipped[..., coordinate] *= -1
            what = f"coordinate {coordinate} of a grid point belongs to axis {axis} of the image ({align_corners=})"
            same(part(image, flipped, align_corners), image.flip(axis), 1e-6, f"{what}: flip")
            shifted = regular.clone()
            shifted[..., coordinate] += 2 / (n - 1 if align_corners else n)
            output = part(image, shifted, align_corners).narrow(axis, 0, n - 1)
            same(output, image.narrow(axis, 1, n - 1), 1e-6, f"{what}: a shift by one pixel to the right reads the next pixel")

    def test_far_outside_is_padding(self, part: Any) -> None:
        """Zeros, the background, or the border's pixel."""
        image = self.image(part)
        grid = torch.full((2, *OUTPUT[part.ndim], part.ndim), 9.0, dtype=torch.float64)
        output = part(image, grid)
        corner = image.flatten(2)[..., -1:].view(2, 3, *[1] * part.ndim).expand_as(output)
        if part.background:
            same(output, frame_mean(image).expand_as(output), 1e-6, "with padding_mode='background' the mean frame goes on")
        elif part.padding_mode == "zeros":
            same(output, torch.zeros_like(output), 0, "with padding_mode='zeros' there is nothing far outside")
        elif part.padding_mode == "border":
            same(output, corner, 1e-6, "with padding_mode='border' the corner's pixel goes on far outside")
        else:
            assert torch.isfinite(output).all()

    def test_is_linear_in_the_image(self, part: Any) -> None:
        """A weighted sum of images gives the weighted sum of outputs; channels and samples keep to themselves."""
        one, two, grid = self.image(part), self.image(part), self.grid(part)
        output = part(one, grid)
        same(part(2 * one - 3 * two, grid), 2 * output - 3 * part(two, grid), EXACT, "the output is linear in the image")
        same(part(one[:, 1:2], grid), output[:, 1:2], EXACT, "a channel gives the same output alone and among others")
        same(part(one[1:], grid[1:]), output[1:], EXACT, "a sample gives the same output alone and in a batch")

    def test_nan_spoils_its_own_sample_only(self, part: Any) -> None:
        """NaN in a grid or in an image."""
        image, grid = self.image(part), self.grid(part)
        clean = part(image, grid)
        for spoilt in ((image, _with_nan(grid)), (_with_nan(image), grid)):
            same(part(*spoilt)[0], clean[0], EXACT, "NaN in one sample leaves the others alone")

    @pytest.mark.parametrize("device", DEVICES)
    def test_dtypes_and_devices(self, part: Any, device: str) -> None:
        """The output has the input's dtype; half-precision features are read in the grid's precision, also under autocast."""
        part = part.to(device)
        for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
            for grid_dtype in (torch.float32, torch.float64):
                image, grid = self.image(part).to(device, dtype), self.grid(part).to(device, grid_dtype)
                output = part(image, grid)
                assert output.dtype == dtype, f"expected an output in the input's {dtype}, got {output.dtype}"
                assert output.device.type == device, f"expected an output on {device}, got {output.device}"
                exact = part(image.double(), grid.double())
                allowed = torch.finfo(dtype).eps * max(1.0, float(exact.abs().max())) + 2e-5
                same(output, exact, allowed, f"features in {dtype} are read in the grid's {grid_dtype}")
                with torch.autocast(device, dtype=torch.bfloat16):
                    same(part(image, grid), output, 0, "autocast does not change the output")

    def test_arguments_may_be_any_view(self, part: Any) -> None:
        """channels_last and transposed images, grids with other strides."""
        image, grid = self.image(part), self.grid(part)
        expected = part(image, grid)
        for view in (*with_other_strides(image), image.repeat(2, 1, *[1] * part.ndim)[::2][:2]):
            given = part(view, grid)
            same(given, part(view.contiguous(), grid), EXACT, "an image with other strides gives the same output")
        planar = grid.movedim(-1, 1).contiguous().movedim(1, -1)
        same(part(image, planar), expected, EXACT, "a grid with other strides gives the same output")

    def test_gradients(self, part: Any) -> None:
        """First and second derivatives in image and grid against finite differences, in float64."""
        image, grid = self.image(part)[:, :1].contiguous().requires_grad_(), self.grid(part).requires_grad_()
        output = part(image, grid)
        assert output.requires_grad, "image and grid are detached: the output depends on neither for autograd"
        image_gradient, grid_gradient = torch.autograd.grad(output.square().sum(), (image, grid), allow_unused=True)
        assert image_gradient is not None, "the image is detached: it gets no gradient"
        assert image_gradient.abs().max() > 0, "the image gets no gradient"
        if part.grid_gradient == "none":
            assert grid_gradient is None or not grid_gradient.any(), "grid_gradient is 'none', but the grid gets a gradient"
        else:
            assert grid_gradient is not None, "the grid is detached: it gets no gradient"
            assert grid_gradient.abs().max() > 0, "the grid gets no gradient"
            assert torch.isfinite(grid_gradient).all(), "the gradient of the grid is not finite"
        leaves = (image, grid) if part.grid_gradient == "exact" else (image, grid.detach())
        assert gradcheck(part, leaves), "the gradient in image or grid is not the derivative"
        if HAS_SECOND:
            assert gradgradcheck(lambda *x: part(*x).square(), leaves), "the second derivative in image or grid is wrong"

    def test_compiles_into_one_graph(self, part: Any, backend: str) -> None:
        """``torch.compile(fullgraph=True)``, cold."""
        inputs = [self.image(part, 3, torch.float32), self.grid(part, 3, torch.float32)]
        check_compiled(Program(part, "forward", False), inputs, backend, 2e-5)

    @pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
    @pytest.mark.parametrize("check", [check_exported, check_onnx], ids=["torch", "onnx"])
    def test_exports(self, build: Callable[[], Any], check: Callable[..., None], warm: bool) -> None:
        """``torch.export`` and ONNX with a dynamic batch, of a part that has been used or not."""
        part = build()
        inputs, others = ([self.image(part, n, torch.float32), self.grid(part, n, torch.float32)] for n in (3, 5))
        if warm:
            part(*inputs)
        check(Program(part, "forward", False), inputs, others, 2e-5)

    def test_malformed_arguments_are_refused(self, part: Any) -> None:
        """Wrong rank, size or dtype: a ValueError that says what was expected and got."""
        image, grid = self.image(part).float(), self.grid(part).float()
        wrong = [
            (image[0], grid),
            (image[..., None], grid),
            (image[..., :0], grid),
            (image, grid[..., :-1]),
            (image, grid[:, 0]),
            (image, grid[:1]),
            (image.long(), grid),
            (image, grid.bfloat16()),
        ]
        for x, g in wrong:
            with pytest.raises(ValueError, match=r"expected.*got"):
                part(x, g)


def _with_nan(x: Tensor) -> Tensor:
    x = x.clone()
    x[1] = float("nan")
    return x
