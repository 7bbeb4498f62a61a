"""``stn export``: a checkpoint as a file that runs without this package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from stn_lightning._import_policy import OPTION
from stn_lightning._loading import data_of_run, load_checkpoint
from stn_lightning.exporting import FORMATS, export_task, images_of_data, images_of_files
from stn_lightning.exporting._export import BATCHES, TOLERANCE

DESCRIPTION = """\
Writes a checkpoint as an ONNX file (opset 20), which needs onnxruntime alone, or as a torch.export program, which needs torch
alone. The file takes images (batch, C, H, W), float32 in [0, 1], of any number, and gives their logits; what the task does to
images before its network is in it. Before the file gets its name it is run, on one image and on seven, and compared with the
checkpoint: exit code 1, and no file, if they differ by more than the tolerance."""


def run(args: Sequence[str]) -> int:
    """``stn export CKPT --format torch|onnx``.

    Args:
        args: what follows the command.

    Returns:
        The exit code: 0.

    Raises:
        ValueError: for what cannot be exported, or differs from the checkpoint.
        FileNotFoundError: for a checkpoint, a folder or images that are not there.
    """
    given = _parser().parse_args(args)
    task = load_checkpoint(given.checkpoint, given.opened)
    images, source = _images(given, task.network.input_shape)  # type: ignore[arg-type]
    file = given.output or given.checkpoint.with_suffix(FORMATS[given.format].suffix)
    done = export_task(task, file, given.format, images, given.theta, given.tolerance)
    outputs = ", ".join(f"{name} {('batch', *shape)}".replace("'", "") for name, shape in done.outputs.items())
    sys.stdout.write(
        f"checked on {source}, in batches of {' and '.join(map(str, BATCHES))}: largest difference from the checkpoint "
        f"{done.difference:.2g} (tolerance {given.tolerance:g})\n"
        f"{file}: images {('batch', *images.shape[1:])} -> {outputs}\n".replace("'", "")
    )
    return 0


def _images(given: argparse.Namespace, shape: tuple[int, ...]) -> tuple[Tensor, str]:
    """Images to check on, and where they are from."""
    count = sum(BATCHES)
    if given.inputs:
        images = images_of_files(given.inputs, shape, count)
        return images, f"{len(images)} images of {', '.join(map(str, given.inputs))}"
    data = data_of_run(given.checkpoint, given.opened)
    if data is None:
        raise ValueError(
            f"expected images to check the export on: give --inputs; {given.checkpoint} lies in no run whose config.yaml "
            f"names its data"
        )
    try:
        images = images_of_data(data, count)
    except FileNotFoundError as e:
        raise FileNotFoundError(f"no validation images of the run to check the export on: {e}; or give --inputs") from e
    return images, f"{len(images)} validation images of {type(data).__name__}, the data of the run"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("stn export", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("checkpoint", type=Path, metavar="CKPT", help="checkpoint of a run")
    parser.add_argument("--format", choices=list(FORMATS), required=True, help="onnx, or torch for a torch.export program")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="default: beside the checkpoint, with the suffix .onnx or .pt2"
    )
    parser.add_argument("--theta", action="store_true", help="also give theta (batch, P) of each spatial transformer")
    parser.add_argument(
        "--inputs",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="images, or folders of them, to check the file on; default: validation images of the data of the run",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        metavar="X",
        help="largest difference from the checkpoint that is allowed, in any output; default: %(default)g",
    )
    parser.add_argument(
        OPTION, dest="opened", action="append", default=[], metavar="PKG", help="the checkpoint may name classes of PKG"
    )
    return parser
