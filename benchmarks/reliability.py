"""What it costs a step that nothing is lost: fits of the quickstart with and without the parts that see to it.

python benchmarks/reliability.py [--rounds 9] [--epochs 10] [further options of `stn fit`]
torchrun --standalone --nproc-per-node=2 benchmarks/reliability.py --trainer.devices=2    # with two ranks

The two take turns in one process; medians of milliseconds a step, from the first step to the last, validations and checkpoints
among them. Without: no Preemption, RandomState and ResumePoint, and Lightning's own way to write a checkpoint.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from _runs import quiet
from lightning.pytorch import Callback
from lightning.pytorch.plugins import TorchCheckpointIO

from stn_lightning.callbacks import Preemption, RandomState, ResumePoint, is_rank_zero
from stn_lightning.cli import CLI

CONFIG = str(Path(__file__).parents[1] / "configs" / "quickstart.yaml")


class Watch(Callback):
    """Milliseconds a step."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        self.start = perf_counter()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self.step = (perf_counter() - self.start) / trainer.global_step * 1e3


class WatchedCLI(CLI):
    """The command line, with a watch, and with or without the parts."""

    watch: Watch
    with_parts: bool

    def _usual_callbacks(self, *args: Any) -> list[Any]:
        usual = super()._usual_callbacks(*args)
        parts = () if self.with_parts else (Preemption, RandomState, ResumePoint)
        return [self.watch, *(callback for callback in usual if not isinstance(callback, parts))]

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        trainer = super().instantiate_trainer(**kwargs)
        if not self.with_parts:
            trainer.strategy.checkpoint_io = TorchCheckpointIO()
        return trainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--epochs", type=int, default=10)
    arguments, options = parser.parse_known_args()
    quiet()
    steps: dict[bool, list[float]] = {True: [], False: []}
    for number in range(arguments.rounds):
        for with_parts in (True, False) if number % 2 else (False, True):
            WatchedCLI.watch, WatchedCLI.with_parts = watch, _ = Watch(), with_parts
            with tempfile.TemporaryDirectory() as folder:
                own = [f"--trainer.default_root_dir={folder}", f"--trainer.max_epochs={arguments.epochs}"]
                WatchedCLI(["fit", "-c", CONFIG, *own, "--trainer.enable_progress_bar=false", *options])
            steps[with_parts].append(watch.step)
        if is_rank_zero():
            print(f"with {steps[True][-1]:.3f} ms, without {steps[False][-1]:.3f} ms a step", flush=True)
    on, off = median(steps[True]), median(steps[False])
    ratio = median(a / b for a, b in zip(steps[True], steps[False], strict=True))
    if is_rank_zero():
        print(f"\nmedians: with {on:.3f} ms a step, without {off:.3f} ms; median of the ratios {ratio - 1:+.2%}")


if __name__ == "__main__":
    main()
