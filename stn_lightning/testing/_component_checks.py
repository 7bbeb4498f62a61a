"""What every part must keep."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import Tensor

from stn_lightning.component import Component, plain
from stn_lightning.plugins import Registry
from stn_lightning.testing._compare import same
from stn_lightning.testing._signature import undescribed

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SIZES: dict[int, list[tuple[int, ...]]] = {
    1: [(7,), (4,), (1,)],
    2: [(5, 7), (8, 6), (1, 4), (3, 1), (1, 1)],
    3: [(3, 5, 4), (2, 1, 3), (1, 1, 1)],
}


class ComponentChecks:
    """Base of the checks: a name, constructor arguments, and what holds for any kind of part.

    Attributes:
        name: the entry-point name of the plugin.
        variants: constructor arguments, one mapping for each variant that is checked.
        inductor: whether to compile the first variant with inductor too (half a minute), besides ``aot_eager``.
        registry: the registry of the kind.
    """

    name: ClassVar[str]
    variants: ClassVar[Sequence[Mapping[str, Any]]] = ({},)
    inductor: ClassVar[bool] = False
    registry: ClassVar[Registry]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Runs a check once for each variant."""
        if "variant" not in metafunc.fixturenames:
            return
        names = [", ".join(f"{k}={v}" for k, v in variant.items())[:40] or "default" for variant in self.variants]
        if "backend" not in metafunc.fixturenames:
            metafunc.parametrize("variant", self.variants, ids=names)
            return
        runs = [(variant, "aot_eager", name) for variant, name in zip(self.variants, names, strict=True)]
        if self.inductor:
            runs.append((self.variants[0], "inductor", names[0]))
        ids = [f"{name}-{backend}" for _, backend, name in runs]
        metafunc.parametrize(("variant", "backend"), [run[:2] for run in runs], ids=ids)

    @pytest.fixture(autouse=True)
    def _seeded(self) -> None:
        torch.manual_seed(0)

    @pytest.fixture
    def build(self, variant: Mapping[str, Any]) -> Callable[[], Any]:
        """Makes a fresh part of this variant; two of them have the same weights."""

        def build() -> Any:
            torch.manual_seed(1)
            return self.make(variant)

        return build

    @pytest.fixture
    def part(self, build: Callable[[], Any]) -> Any:
        """A fresh part of this variant."""
        return build()

    def make(self, variant: Mapping[str, Any]) -> Any:
        """Constructs a part."""
        return self.registry[self.name](**variant)

    def run(self, part: Any) -> Tensor:
        """What a part makes of fixed inputs of its kind."""
        raise NotImplementedError

    def test_is_a_plugin_with_this_name(self) -> None:
        """The name is an entry point, and its class says that it has this name."""
        cls = self.registry[self.name]
        path = f"{self.registry.group}.{self.name}"
        assert self.registry.path(cls) == path, f"{cls} is registered as {self.registry.path(cls)}, expected {path}"

    def test_arguments_are_typed_and_documented(self) -> None:
        """Every constructor argument has a type and a line in the docstring: jsonargparse checks and shows them."""
        flaws = list(undescribed(self.registry[self.name]))
        assert not flaws, "; ".join(flaws)

    def test_same_input_gives_the_same_output(self, part: Any) -> None:
        """No randomness in eval mode."""
        part.eval()
        same(self.run(part), self.run(part), 0, "the same input gives the same output")

    def test_plain_data_builds_it_again(self, part: Any) -> None:
        """A checkpoint holds ``class_path`` and ``init_args``, not pickled objects."""
        data = json.loads(json.dumps(plain(part)))
        path = f"{self.registry.group}.{self.name}"
        assert data["class_path"] == path, f"plain data names {data['class_path']}, expected {path}"
        twin = self.rebuilt(data)
        twin.load_state_dict(part.state_dict())
        same(self.run(twin.eval()), self.run(part.eval()), 0, "the part built again from plain data gives the same output")

    def rebuilt(self, data: Mapping[str, Any]) -> Any:
        """A part of plain data."""
        module, _, name = data["class_path"].rpartition(".")
        return getattr(import_module(module), name)(**data["init_args"])

    def test_a_config_builds_it(self, part: Any) -> None:
        """Jsonargparse takes the plain data of the part where the kind is asked for."""
        parser = ArgumentParser(exit_on_error=False)
        parser.add_argument("--part", type=self.config_type())
        config = parser.parse_object({"part": self.config_of(part)})
        built = parser.instantiate(config).part
        twin = built(*self.positional(part)) if not isinstance(built, Component) else built
        twin.load_state_dict(part.state_dict())
        same(self.run(twin.eval()), self.run(part.eval()), 0, "the part that a config builds gives the same output")

    def config_type(self) -> Any:
        """The type that a task asks for."""
        return self.registry.base

    def config_of(self, part: Any) -> Any:
        """What a config says of the part."""
        return json.loads(json.dumps(plain(part)))

    def positional(self, part: Any) -> tuple[Any, ...]:
        """What a task gives to a factory of the part."""
        return ()

    def test_state_dict_round_trip(self, build: Callable[[], Any]) -> None:
        """The weights are the whole state: another part with them is the same, used before or not."""
        part, twin = _disturbed(build()), build()
        expected = self.run(part.eval())
        twin.load_state_dict(part.state_dict(), strict=True)
        same(self.run(twin.eval()), expected, 0, "a part with the same state_dict gives the same output")

    @pytest.mark.parametrize(
        "copied", [copy.deepcopy, lambda part: pickle.loads(pickle.dumps(part))], ids=["deepcopy", "pickle"]
    )
    def test_copies_are_equal_and_independent(self, build: Callable[[], Any], copied: Callable[[Any], Any]) -> None:
        """A copy, also of a part that has been used, gives the same output and shares no weight."""
        part = _disturbed(build()).eval()
        expected = self.run(part)
        twin = copied(part)
        same(self.run(twin), expected, 0, "a copy gives the same output")
        _disturbed(twin)
        same(self.run(part), expected, 0, "a copy that is trained leaves the original alone")

    def test_first_used_in_inference_mode_then_trained(self, build: Callable[[], Any]) -> None:
        """Lightning's sanity check runs in inference mode: no tensor born there may reach the first backward pass."""
        try:
            self.trained(build())
        except RuntimeError as e:
            pytest.skip(f"cannot be trained at all: {e}")
        part = build()
        with torch.inference_mode():
            self.run(part)
        try:
            self.trained(part)
        except RuntimeError as e:
            raise AssertionError(f"first used in inference mode, the part cannot be trained: {e}") from e

    def trained(self, part: Any) -> None:
        """A forward and a backward pass."""
        raise NotImplementedError


def with_other_strides(maps: Tensor) -> list[Tensor]:
    """Maps (B, C, *size) with channels last, and transposed."""
    return [maps.movedim(1, -1).contiguous().movedim(-1, 1), maps.mT.contiguous().mT]


def _disturbed(part: Any) -> Any:
    """The part with all its weights moved a little."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator).to(parameter))
    return part
