"""A task as a plain module: images in, named tensors out."""

from __future__ import annotations

import json

from torch import Tensor, nn

from stn_lightning import __version__
from stn_lightning.tasks import SequenceRecognition, Task

IMAGES, PREDICTION = "images", "prediction"


class Deployed(nn.Module):
    """What a task predicts, its preprocessing included, as a dict of tensors.

    Args:
        task: of images; in evaluation mode from here on.
        theta: whether the parameters of each spatial transformer come out too.

    Attributes:
        input_shape: (C, H, W) of an image.
    """

    def __init__(self, task: Task, theta: bool = False) -> None:
        super().__init__()
        self.task, self.theta = task.eval(), theta
        shape: tuple[int, ...] = task.network.input_shape  # type: ignore[assignment]
        self.input_shape = shape

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """``prediction``, the logits, and where asked for ``theta.NAME`` (B, P) of each transformer.

        Args:
            images: (B, *input_shape) float32 in [0, 1].
        """
        output = self.task(images)
        thetas = {f"theta.{name}": warp.theta for name, warp in output.warps.items()} if self.theta else {}
        return {PREDICTION: output.prediction, **thetas}

    def description(self) -> dict[str, str]:
        """What stands in an exported file beside the numbers.

        Returns:
            ``task``; ``images`` and ``prediction`` in words; ``class_names``, a JSON list along the last axis of the
            prediction, where the task knows them; and the version of ``stn_lightning``.
        """
        about = {
            "task": type(self.task).__name__,
            IMAGES: f"float32 (batch, {', '.join(map(str, self.input_shape))}), values in [0, 1]",
            PREDICTION: "logits; the softmax over the last axis gives probabilities",
            "stn_lightning": __version__,
        }
        names = getattr(self.task, "class_names", None)
        if isinstance(self.task, SequenceRecognition):
            names = [*map(str, range(self.task.null)), ""]  # the null behind the end
        return about | ({} if names is None else {"class_names": json.dumps(names, ensure_ascii=False)})
