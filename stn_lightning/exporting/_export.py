"""Writing a task to a file, and checking the file against the task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from stn_lightning._files import whole_file
from stn_lightning.exporting._deployed import IMAGES, Deployed
from stn_lightning.exporting._formats import FORMATS
from stn_lightning.tasks import Task

BATCHES = (1, 7)
TOLERANCE = 1e-4


class Exported(NamedTuple):
    """What was written.

    Attributes:
        difference: largest absolute difference from the task, over all outputs of the images that were tried.
        outputs: shape of each output, without the batch.
    """

    difference: float
    outputs: dict[str, tuple[int, ...]]


def export_task(
    task: Task, file: Path, format: str, images: Tensor, theta: bool = False, tolerance: float = TOLERANCE
) -> Exported:
    """Writes a task to a file that runs without this package, if it gives what the task gives.

    The batch is dynamic. The file is run once on one image and once on seven more, repeated where there are fewer, before it
    gets its name: one that is off by more than the tolerance never does.

    Args:
        task: on the CPU; in evaluation mode from here on.
        file: to be written or replaced.
        format: ``torch`` (``torch.export``) or ``onnx`` (opset 20).
        images: (N, *input_shape) in [0, 1], on which the file is checked.
        theta: whether the parameters of each spatial transformer are outputs too.
        tolerance: largest absolute difference from the task that is allowed, in logits and in theta.

    Raises:
        ValueError: for an unknown format, no image or one of another shape, a task that the format cannot hold, or a
            difference above the tolerance.
        FileNotFoundError: if the folder of the file is missing.
        ImportError: if the packages that write ONNX are missing.
    """
    if format not in FORMATS:
        raise ValueError(f"expected format one of {', '.join(FORMATS)}; got {format!r}")
    if not file.absolute().parent.is_dir():
        raise FileNotFoundError(f"no folder {file.absolute().parent} for {file.name}")
    module = Deployed(task, theta)
    if not len(images) or tuple(images.shape[1:]) != module.input_shape:
        raise ValueError(f"expected images of shape {('N', *module.input_shape)} to check on, got {tuple(images.shape)}")
    chosen = images[torch.arange(sum(BATCHES)) % len(images)]
    with torch.no_grad():
        tried = [(batch, module(batch)) for batch in torch.split(chosen, list(BATCHES))]
    names = list(tried[0][1])
    try:
        contents = FORMATS[format].contents(_program(module, chosen), names, module.description())
    except ImportError:
        raise
    except Exception as e:  # torch and the exporter name what they cannot do in many ways
        cause = " ".join(str(e).split())[:300]
        raise ValueError(f"{type(task).__name__} cannot be exported to {format}: {type(e).__name__}: {cause}") from e
    with whole_file(file) as stream, torch.no_grad():
        stream.write(contents)
        stream.flush()
        run = FORMATS[format].run
        differences = [largest_difference(run(Path(stream.name), batch), expected) for batch, expected in tried]
        difference = float(torch.tensor(differences).max())  # a NaN stays one
        if not difference <= tolerance:
            raise ValueError(
                f"the {format} file is off by {difference:.2g}, more than the tolerance {tolerance:g}: {file} is not written"
            )
    return Exported(difference, {name: tuple(tensor.shape[1:]) for name, tensor in tried[0][1].items()})


def largest_difference(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> float:
    """The largest absolute difference of two dicts of tensors; NaN where a number is one.

    Raises:
        ValueError: if names or shapes are others.
    """
    shapes = [{name: tuple(tensor.shape) for name, tensor in tensors.items()} for tensors in (found, expected)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"expected outputs {shapes[1]}, got {shapes[0]}")
    return float(torch.stack([(found[name] - expected[name]).abs().max() for name in expected]).max())


def _program(module: Deployed, images: Tensor) -> ExportedProgram:
    with torch.no_grad():
        return torch.export.export(module, (images,), dynamic_shapes={IMAGES: {0: Dim("batch", min=1)}})
