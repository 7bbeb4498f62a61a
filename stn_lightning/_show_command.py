"""``stn show``: pictures of what the transformers of a checkpoint do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from stn_lightning._files import whole_file
from stn_lightning._import_policy import OPTION
from stn_lightning._loading import data_of_run, load_checkpoint
from stn_lightning.callbacks._drawing import as_image
from stn_lightning.callbacks._prediction_pictures import safe_stem
from stn_lightning.showing import Gallery, evolutions, folder_batches, looked_at, picture, sheet, tested_batches

DESCRIPTION = """\
Draws what the spatial transformers of a checkpoint do with the test images of its run, or with other images: sheet.png, the
most and the least certain images and the wrong ones; pictures/, each of them with its sampling grids and what the transforms
do, in words; and evolution_NAME.gif, how the transform NAME came about, from the TensorBoard pictures of its run."""


def run(args: Sequence[str]) -> int:
    """``stn show CKPT [--images FOLDER] [--output FOLDER] [--count N]``.

    Args:
        args: what follows the command.

    Returns:
        The exit code: 0.
    """
    parser = argparse.ArgumentParser("stn show", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument(
        "checkpoint", type=Path, metavar="CKPT", help="written by a run of stn: version_N/checkpoints/best.ckpt"
    )
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="show these instead of the test images of the run")
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="default: show/NAME in the folder of the run of NAME.ckpt"
    )
    parser.add_argument("--count", type=_positive, default=8, metavar="N", help="images of each kind; default: 8")
    parser.add_argument(OPTION, action="append", default=[], metavar="PKG", help="the checkpoint may name classes of PKG")
    given = parser.parse_args(args)
    file: Path = given.checkpoint
    task = load_checkpoint(file, given.allow_import)
    data = data_of_run(file, given.allow_import)
    if given.images is not None:
        batches = folder_batches(data, given.images, task.hparams["input_shape"])
    elif data is not None:
        batches = tested_batches(data)
    else:
        raise ValueError(f"{file} is in no folder of a run (RUN/config.yaml, RUN/checkpoints/): expected --images")
    gallery = Gallery(given.count)
    for sample in looked_at(task, batches):
        gallery.add(sample)
    run_folder = file.absolute().parent.parent if data is not None else file.absolute().parent
    folder: Path = given.output or run_folder / "show" / file.stem
    groups = gallery.groups()
    title = f"{file.name}, {gallery.seen} images" + (f", {gallery.wrong} wrong" if given.images is None else "")
    _save(folder / "sheet.png", sheet(groups, title))
    chosen = {sample.number: sample for samples in groups.values() for sample in samples}
    for number, sample in sorted(chosen.items()):
        stem = safe_stem(sample.name) if sample.name else ""
        _save(folder / "pictures" / f"{number:05}{stem and '_'}{stem}.png", picture(sample))
    animations = evolutions(run_folder) if data is not None else {}
    for name, gif in animations.items():
        with whole_file(folder / f"evolution_{name}.gif") as stream:
            stream.write(gif)
    lines = [f"sheet: {folder / 'sheet.png'}", f"pictures: {folder / 'pictures'}, {len(chosen)}"]
    lines += [f"evolution: {folder / f'evolution_{name}.gif'}" for name in animations]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return int(text)


def _save(file: Path, shown: Tensor) -> None:
    with whole_file(file) as stream:
        as_image(shown).save(stream, "png")
