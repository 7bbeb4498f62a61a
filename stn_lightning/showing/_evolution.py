"""How the transforms evolved over training, from the pictures that the run logged."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import IMAGES, EventAccumulator

from stn_lightning.callbacks import captions
from stn_lightning.callbacks._drawing import GAP, as_image, as_tensor, stacked
from stn_lightning.data._decoding import decode

TAG = "warp/"
MOST_FRAMES = 60
MILLISECONDS, AT_THE_END = 350, 2000
TITLE_HEIGHT = 20


def evolutions(run: Path) -> dict[str, bytes]:
    """A GIF for each picture ``warp/NAME`` that a run logged to TensorBoard more than once, by NAME.

    A frame is the picture of a validation, under the number of its training step; of more than 60, as many evenly spaced.

    Args:
        run: the folder with the event files.
    """
    events = EventAccumulator(str(run), size_guidance={IMAGES: 0}).Reload()
    found = {}
    for tag in events.Tags()[IMAGES]:
        logged = events.Images(tag)
        if tag.startswith(TAG) and len(logged) > 1:
            chosen = torch.linspace(0, len(logged) - 1, min(len(logged), MOST_FRAMES)).round().long().tolist()
            frames = [_frame(logged[i].encoded_image_string, logged[i].step) for i in chosen]
            found[tag.removeprefix(TAG)] = _gif(frames)
    return found


def _frame(png: bytes, step: int) -> Image.Image:
    picture = decode(lambda: io.BytesIO(png), lambda image: as_tensor(image.convert("RGB")))
    return as_image(stacked([captions([f"step {step}"], picture.shape[2] - GAP, TITLE_HEIGHT), picture]))


def _gif(frames: list[Image.Image]) -> bytes:
    stream = io.BytesIO()
    durations = [MILLISECONDS] * (len(frames) - 1) + [AT_THE_END]
    frames[0].save(stream, "gif", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return stream.getvalue()
