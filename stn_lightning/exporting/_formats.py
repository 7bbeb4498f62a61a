"""The formats: how a program is written, and how its file is run without the code that wrote it."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.export import ExportedProgram

OPSET = 20  # the first that has the whole of GridSample
DESCRIPTION = "description.json"


class Format(NamedTuple):
    """A format.

    Attributes:
        suffix: of its files.
        contents: the file's bytes, of a program, the names of its outputs, and what is said about it.
        run: what a file makes of images (B, C, H, W), by the names of the outputs.
    """

    suffix: str
    contents: Callable[[ExportedProgram, list[str], Mapping[str, str]], bytes]
    run: Callable[[Path, Tensor], dict[str, Tensor]]


def _torch_contents(program: ExportedProgram, names: list[str], about: Mapping[str, str]) -> bytes:
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about its own archive
        torch.export.save(program, stream, extra_files={DESCRIPTION: json.dumps(about)})
    return stream.getvalue()


def _torch_run(file: Path, images: Tensor) -> dict[str, Tensor]:
    with file.open("rb") as stream:  # of any name
        found: dict[str, Tensor] = torch.export.load(stream).module()(images)
    return found


def _onnx_contents(program: ExportedProgram, names: list[str], about: Mapping[str, str]) -> bytes:
    _import_onnx()
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        made = torch.onnx.export(program, (), dynamo=True, opset_version=OPSET, output_names=names, verbose=False)
    if made is None:
        raise ValueError("the exporter of torch made nothing")
    made.rename_axes({str(symbol): "batch" for symbol in program.range_constraints})
    ClearMetadataAndDocStringPass()(made.model)  # paths of this machine
    made.model.metadata_props.update(about)
    contents: bytes = made.model_proto.SerializeToString()
    return contents


def _onnx_run(file: Path, images: Tensor) -> dict[str, Tensor]:
    from onnxruntime import InferenceSession

    session = InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    found = session.run(names, {session.get_inputs()[0].name: images.numpy()})
    return {name: torch.from_numpy(array) for name, array in zip(names, found, strict=True)}


def _import_onnx() -> None:
    try:
        for name in ("onnx", "onnxscript", "onnxruntime"):
            import_module(name)
    except ImportError as e:
        raise ImportError(f"ONNX needs packages that are missing ({e}): pip install 'stn-lightning[export]'") from e


FORMATS = {
    "torch": Format(".pt2", _torch_contents, _torch_run),
    "onnx": Format(".onnx", _onnx_contents, _onnx_run),
}
