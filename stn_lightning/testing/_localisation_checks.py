"""What a localisation net must keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from stn_lightning.component import class_path, init_args
from stn_lightning.localisations import Localisation, registry
from stn_lightning.plugins import Registry
from stn_lightning.testing._compare import same
from stn_lightning.testing._component_checks import DEVICES, ComponentChecks, with_other_strides
from stn_lightning.testing._programs import Program, check_compiled, check_exported, check_onnx

SHAPES: dict[int, tuple[int, ...]] = {1: (3, 64), 2: (3, 64, 64), 3: (3, 28, 28, 28)}
INITIAL = torch.linspace(-1, 1, 18).view(3, 6)  # three heads of six parameters, no two alike


class LocalisationChecks(ComponentChecks):
    """The contract of a localisation net.

    Attributes:
        input_shape: (C, *size) of the feature maps it is checked with; None for three channels of 64 samples, 64x64 pixels or
            28x28x28 voxels.
    """

    registry: ClassVar[Registry] = registry
    input_shape: ClassVar[tuple[int, ...] | None] = None

    def shape(self) -> tuple[int, ...]:
        """(C, *size) of the feature maps."""
        cls: Any = self.registry[self.name]
        return self.input_shape or SHAPES[cls.ndim]

    def make(self, variant: Mapping[str, Any]) -> Any:
        return self.registry[self.name](self.shape(), INITIAL, **variant)

    def rebuilt(self, data: Mapping[str, Any]) -> Any:
        arguments = {**data["init_args"], "initial": torch.tensor(data["init_args"]["initial"])}
        return super().rebuilt({**data, "init_args": arguments})

    def config_type(self) -> Any:
        return Callable[[tuple[int, ...], Tensor], Localisation]

    def config_of(self, part: Any) -> Any:
        options = {k: v for k, v in init_args(part).items() if k not in ("input_shape", "initial")}
        return {"class_path": class_path(type(part)), "init_args": options}

    def positional(self, part: Any) -> tuple[Any, ...]:
        return self.shape(), INITIAL

    def maps(self, batch: int = 4) -> Tensor:
        """(B, C, *size) noise."""
        return torch.randn(batch, *self.shape())

    def run(self, part: Any) -> Tensor:
        torch.manual_seed(3)
        theta: Tensor = part.eval()(self.maps())
        return theta

    def trained(self, part: Any) -> None:
        part.train()(self.maps()).square().sum().backward()

    @pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
    def test_every_head_starts_at_its_initial_theta(self, part: Any, training: bool) -> None:
        """Whatever the image: zero weights and the initial theta as bias in the last layer."""
        theta = part.train(training)(self.maps())
        assert theta.shape == (4, 3, 6), f"expected theta of shape (4, 3, 6): (B, heads, P); got {tuple(theta.shape)}"
        same(theta, INITIAL.expand(4, -1, -1), 0, "every head starts at its initial theta")

    def test_it_can_leave_its_start_and_then_follows_the_image(self, part: Any) -> None:
        """The head has a gradient at the start; after a step theta depends on the image, and then the trunk learns too."""
        x, target = self.maps(), torch.randn(4, 3, 6)
        part.train()
        (part(x) - target).square().sum().backward()
        gradients = [p.grad for p in part.head.parameters() if p.grad is not None]
        assert gradients, "the head is detached: it gets no gradient"
        assert any(g.abs().max() > 0 for g in gradients), "the head gets no gradient at the start: it can never leave it"
        torch.optim.SGD(part.parameters(), 0.01).step()
        part.zero_grad()
        theta = part(x)
        assert theta.std(dim=0).max() > 0, "after a step theta is still the same for every image"
        theta.square().sum().backward()
        trained = [p.grad for p in part.trunk.parameters() if p.requires_grad]
        assert not trained or any(g is not None and g.abs().max() > 0 for g in trained), "the trunk gets no gradient"

    def test_samples_do_not_depend_on_each_other(self, part: Any) -> None:
        """In eval mode; NaN in one image spoils its own theta only."""
        part = _awake(part)
        x = self.maps()
        theta = part(x)
        same(part(x[1:2]), theta[1:2], 1e-4, "an image gives the same theta alone and in a batch")
        x[1] = float("nan")
        same(part(x)[::2], theta[::2], 1e-4, "NaN in one image leaves the thetas of the others alone")

    @pytest.mark.parametrize("device", DEVICES)
    def test_theta_is_float32_under_any_precision(self, part: Any, device: str) -> None:
        """Under bfloat16 autocast, and in a module cast to bfloat16; float64 where the module is."""
        part, x = _awake(part).to(device), self.maps().to(device)
        with torch.autocast(device, dtype=torch.bfloat16):
            theta = part(x)
        assert theta.dtype == torch.float32, f"expected theta in float32 under bfloat16 autocast, got {theta.dtype}"
        assert theta.device.type == device
        for dtype, expected in {torch.bfloat16: torch.float32, torch.float64: torch.float64}.items():
            theta = part.to(dtype)(x.to(dtype))
            assert theta.dtype == expected, f"expected theta in {expected} of a module in {dtype}, got {theta.dtype}"

    def test_input_may_be_any_view(self, part: Any) -> None:
        """channels_last and transposed feature maps."""
        part, x = _awake(part), self.maps()
        for view in with_other_strides(x):
            same(part(view), part(x), 1e-4, "feature maps with other strides give the same theta")

    def test_compiles_into_one_graph(self, part: Any, backend: str) -> None:
        """``torch.compile(fullgraph=True)``, in eval mode."""
        check_compiled(Program(_awake(part), "forward"), [self.maps(3)], backend, 1e-3)

    @pytest.mark.parametrize("check", [check_exported, check_onnx], ids=["torch", "onnx"])
    def test_exports(self, part: Any, check: Callable[..., None]) -> None:
        """``torch.export`` and ONNX with a dynamic batch."""
        check(Program(_awake(part), "forward"), [self.maps(3)], [self.maps(5)], 1e-3)

    def test_malformed_arguments_are_refused(self, variant: Mapping[str, Any], part: Any) -> None:
        """Another rank or size than ``input_shape``, and initial thetas that are not (K, P)."""
        x = self.maps()
        for wrong in (x[0], x[:, :, :-1], x[..., None], torch.cat([x, x], dim=1)):
            with pytest.raises(ValueError, match=r"expected.*got"):
                part(wrong)
        with pytest.raises(ValueError, match=r"expected.*got"):
            self.registry[self.name](self.shape(), INITIAL[0], **variant)
        with pytest.raises(ValueError, match=r"expected.*got"):
            self.registry[self.name](self.shape()[1:], INITIAL, **variant)


def _awake(part: Any) -> Any:
    """In eval mode, with a head that looks at the features."""
    with torch.no_grad():
        for parameter in part.head.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape))
    return part.eval()
