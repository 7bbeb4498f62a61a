"""The one way in: a checkpoint is a local file of plain data, whole, with finite weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from stn_lightning.checkpoints._archive import check_archive
from stn_lightning.checkpoints._contents import check_contents

# what fsspec, or Lightning's registry of models, would fetch
REMOTE = re.compile(r"registry(:|$)|[\w.+-]{2,}:/|.*::", re.IGNORECASE)


def local_path(file: str | Path) -> Path:
    """The path of a local file; an address is refused.

    Raises:
        ValueError: naming the address.
    """
    if REMOTE.match(str(file)):
        raise ValueError(f"expected a local file for a checkpoint, got the address {file}: fetch it first")
    return Path(file)


def read_checkpoint(file: str | Path | IO[bytes], map_location: Any = "cpu") -> dict[str, Any]:
    """A checkpoint as plain data; its bytes are read once, and verified before they are used.

    A file of ``WholeCheckpoints`` is verified over all its bytes, one of plain Lightning over its contents. No code of the
    file runs, whatever the environment says.

    Args:
        file: a local file, or an open one.
        map_location: device of its tensors.

    Raises:
        FileNotFoundError: if the file is missing.
        ValueError: naming the file, if it is an address, a folder, damaged, more than plain data, or has weights that are not
            finite.
    """
    if isinstance(file, str | Path):
        path = local_path(file)
        if path.is_dir():
            raise ValueError(
                f"{path} is a folder, expected a file: of a sharded checkpoint, "
                f"`python -m lightning.pytorch.utilities.consolidate_checkpoint {path}` makes one"
            )
        if not path.is_file():
            raise FileNotFoundError(f"no checkpoint {path}{': it is a link to nothing' if path.is_symlink() else ''}")
        name, data = str(path), path.read_bytes()
    else:
        name, data = str(getattr(file, "name", "the open file")), file.read()
    try:
        if not data:
            raise ValueError("it is empty")
        check_archive(data)
        checkpoint = torch.load(BytesIO(data), map_location=map_location, weights_only=True)
        del data
        check_contents(checkpoint)
        broken = first_not_finite(checkpoint.get("state_dict", checkpoint))
    except Exception as e:  # zipfile and torch name a damaged file in many ways
        cause = str(e).strip().split("\n")[0].split(". ")[0]  # torch goes on to advise loading it unsafely
        raise ValueError(f"{name} is damaged or not a checkpoint: {type(e).__name__}: {cause}") from e
    if broken:
        raise ValueError(f"the weights of {name} are not finite ({broken}): take an earlier checkpoint")
    return dict(checkpoint)


def first_not_finite(weights: Mapping[str, Tensor]) -> str | None:
    """The name of the first weight that is not finite; None where all are.

    Args:
        weights: by their names.
    """
    floating = {name: value for name, value in weights.items() if torch.is_floating_point(value)}
    finite = [value.isfinite().all() for value in floating.values()]
    if not finite or torch.stack([flag.cpu() for flag in finite]).all():
        return None
    return next(name for name, flag in zip(floating, finite, strict=True) if not flag)


def hyper_parameters(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The hyper-parameters of a checkpoint, as ``{class_path: ..., init_args: ...}``; empty where it has none.

    Args:
        checkpoint: as ``read_checkpoint`` gives it.
    """
    kept = dict(checkpoint.get("hyper_parameters", {}))
    kept.pop("_instantiator", None)
    path = kept.pop("_class_path", None)
    return {"class_path": path, "init_args": kept} if path else {}
