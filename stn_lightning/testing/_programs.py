"""A part as a program: compiled, exported, in ONNX."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from shutil import which
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, export

from stn_lightning.testing._compare import same

OPSET = 20  # the first that has the whole of GridSample


class Program(nn.Module):
    """A module whose ``forward`` is a method of a part, with the rest of its arguments fixed.

    Args:
        part: the part.
        method: name of the method.
        fixed: what follows the tensors.
    """

    def __init__(self, part: nn.Module, method: str, *fixed: Any) -> None:
        super().__init__()
        self.part, self.method, self.fixed = part, method, fixed

    def forward(self, *inputs: Tensor) -> Tensor:
        """The method of the part."""
        result: Tensor = getattr(self.part, self.method)(*inputs, *self.fixed)
        return result


def check_compiled(program: Program, inputs: Sequence[Tensor], backend: str, tolerance: float) -> None:
    """Fails unless ``torch.compile(fullgraph=True)`` gives the numbers and gradients of eager."""
    if backend == "inductor" and not (which("g++") or which("clang++") or which("c++")):
        pytest.skip("inductor needs a C++ compiler")
    torch.compiler.reset()
    compiled = torch.compile(program, fullgraph=True, backend=backend)
    results = []
    for run in (program, compiled):
        leaves = [x.clone().requires_grad_() for x in inputs]
        output = run(*leaves)
        gradients = torch.autograd.grad(output.square().sum(), leaves, allow_unused=True)
        results.append([output, *(torch.zeros(()) if g is None else g for g in gradients)])
    for ours, theirs in zip(results[1], results[0], strict=True):
        scale = max(1.0, float(theirs.detach().abs().max()))
        same(ours, theirs, tolerance * scale, f"torch.compile(fullgraph=True, backend={backend!r}) gives what eager gives")


def check_exported(program: Program, inputs: Sequence[Tensor], others: Sequence[Tensor], tolerance: float) -> None:
    """Fails unless ``torch.export`` with a dynamic batch gives the numbers of eager on another batch."""
    exported = _exported(program, inputs)
    same(exported.module()(*others), program(*others), tolerance, "the exported program gives what eager gives")


def check_onnx(program: Program, inputs: Sequence[Tensor], others: Sequence[Tensor], tolerance: float) -> None:
    """Fails unless onnxruntime gives the numbers of eager on another batch."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    exported = _exported(program, inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter
        onnx = torch.onnx.export(exported, (), dynamo=True, opset_version=OPSET, verbose=False)
    assert onnx is not None
    session = onnxruntime.InferenceSession(onnx.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {given.name: x.numpy() for given, x in zip(session.get_inputs(), others, strict=True)}
    (output,) = session.run(None, feed)
    same(torch.from_numpy(output), program(*others), tolerance, "onnxruntime gives what eager gives")


def _exported(program: Program, inputs: Sequence[Tensor]) -> torch.export.ExportedProgram:
    each = tuple({0: Dim("batch", min=1, max=64)} for _ in inputs)
    with torch.no_grad():
        return export(program.eval(), tuple(inputs), dynamic_shapes=(each,))
