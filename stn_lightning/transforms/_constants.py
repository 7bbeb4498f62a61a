"""Constants of a transform, built once and kept where neither autograd, autocast nor a cast of the module reaches them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Thread
from typing import ParamSpec, TypeVar, cast

import torch
from torch import Tensor

CAPACITY = 16
P = ParamSpec("P")
R = TypeVar("R")


class Constants:
    """A bounded cache of tensors that are built in float64 on the CPU and copied to a dtype and device at first use.

    The builder runs in a thread of its own, where no inference mode, autograd state, autocast or tracing of the caller is in
    force: a tensor born in Lightning's sanity check (inference mode) would break the first backward pass, and one born under
    ``torch.export`` would put its construction into the exported graph. Copies and pickles start empty.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[Tensor, ...]] = {}

    def get(
        self, key: Hashable, build: Callable[[], tuple[Tensor, ...]], dtype: torch.dtype, device: torch.device
    ) -> tuple[Tensor, ...]:
        """The constants of ``key`` in ``dtype`` on ``device``, built by ``build`` where they are not yet kept."""
        full_key = (key, dtype, device)
        found = self._kept.get(full_key)
        if found is None:
            found = _in_thread(lambda: tuple(_exact_copy(tensor, dtype, device) for tensor in build()))
            while len(self._kept) >= CAPACITY:
                del self._kept[next(iter(self._kept))]
            self._kept[full_key] = found
        return found

    def __len__(self) -> int:
        return len(self._kept)

    def __reduce__(self) -> tuple[type[Constants], tuple[()]]:
        return Constants, ()


def _exact_copy(tensor: Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    return tensor.to(dtype).to(device).contiguous()


def _in_thread(build: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    result: list[tuple[Tensor, ...]] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            with torch.no_grad():
                result.append(build())
        except BaseException as e:
            failure.append(e)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def frozen(function: Callable[P, R]) -> Callable[P, R]:
    """Marks a method whose result ``torch.compile`` takes as a constant instead of tracing how it is built."""
    return cast(Callable[P, R], torch.compiler.assume_constant_result(function))  # type: ignore[no-untyped-call]
