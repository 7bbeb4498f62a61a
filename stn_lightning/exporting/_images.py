"""Real images, on which an exported file is checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stn_lightning.data._crops import as_rgb
from stn_lightning.data._decoding import image_files, read_image


def images_of_files(paths: Sequence[Path], shape: Sequence[int], count: int) -> Tensor:
    """The first images of files and folders, each resized as a whole: (N, C, H, W) float32 in [0, 1].

    Args:
        paths: image files, and folders of such.
        shape: (C, H, W); C is 1 for grey or 3.
        count: the largest N.

    Raises:
        FileNotFoundError: if a path is missing, or a folder has no images.
        ValueError: for a damaged image, or a number of channels that image files do not have.
    """
    channels, height, width = shape
    if channels not in (1, 3):
        raise ValueError(f"expected a checkpoint of images with 1 or 3 channels to check it on files, got {channels} channels")
    files = [file for path in paths for file in ([path] if path.is_file() else image_files(path))]

    def pixels(image: Image.Image) -> Tensor:
        converted = as_rgb(image) if channels == 3 or image.mode != "L" else image
        grey = converted.convert("L") if channels == 1 else converted
        array = np.array(grey.resize((width, height), Image.Resampling.BILINEAR))
        return torch.from_numpy(array).view(height, width, channels).permute(2, 0, 1)

    return torch.stack([read_image(file, pixels) for file in files[:count]]) / 255


def images_of_data(data: Any, count: int) -> Tensor:
    """The first validation images of a data module, as its task sees them: (N, C, H, W) float32 in [0, 1].

    Args:
        data: a LightningDataModule; its files must be there, since nothing is fetched or drawn.
        count: the largest N.
    """
    if hasattr(data, "num_workers"):
        data.num_workers = 0  # a few images
    data.setup("validate")
    images: list[Tensor] = []
    for batch in data.val_dataloader():
        images.extend(data.on_after_batch_transfer(batch, 0)[0])
        if len(images) >= count:
            break
    data.teardown("validate")
    return torch.stack(images[:count]).float()
