"""What is left of a run when it has ended."""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from stn_lightning._files import whole_file
from stn_lightning.callbacks._run_files import run_folder
from stn_lightning.networks import count_parameters
from stn_lightning.reporting import SUMMARY


class RunSummary(Callback):
    """Writes ``summary.json`` into the folder of a ``fit`` or a ``test`` that came to its end; ``stn report`` reads it.

    It has ``stage`` (``fit`` or ``test``); ``metrics``, the last ones of validation or test; ``parameters``, of the network;
    ``steps`` and ``epochs`` so far; ``seconds`` of the stage from its start to its end, validation included, and of a fit that
    was resumed also those up to its checkpoint; ``device``, such as ``2 x cpu``, one for each process; and ``checkpoint``, the
    absolute path of the one that it began with, or null. An interrupted run leaves none. A run without a logger writes none.
    """

    def __init__(self) -> None:
        self._before = 0.0
        self._start = perf_counter()

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self._seconds()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before = state_dict["seconds"]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start = perf_counter()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._before, self._start = 0.0, perf_counter()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer, pl_module, "fit")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer, pl_module, "test")

    def _seconds(self) -> float:
        return self._before + perf_counter() - self._start

    def _write(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        folder = run_folder(trainer)
        if not trainer.loggers or getattr(trainer, "fast_dev_run", False) or not trainer.is_global_zero:
            return
        device = torch.cuda.get_device_name() if pl_module.device.type == "cuda" else pl_module.device.type
        summary = {
            "stage": stage,
            "metrics": {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith(("val/", "test/"))},
            "parameters": count_parameters(pl_module),
            "steps": trainer.global_step,
            "epochs": trainer.current_epoch,
            "seconds": round(self._seconds(), 3),
            "device": f"{trainer.world_size} x {device}",
            "checkpoint": str(Path(trainer.ckpt_path).absolute()) if trainer.ckpt_path else None,
        }
        with whole_file(folder / SUMMARY) as stream:
            stream.write(f"{json.dumps(summary, indent=2)}\n".encode())
