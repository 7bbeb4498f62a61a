"""What ``TransformerHealth`` costs: fits of the quickstart with and without it, and the time inside the callback.

python benchmarks/health.py [--rounds 5] [--epochs 10] [further options of `stn fit`]

The two take turns in one process; medians of milliseconds of processor time a step, from the first step to the last, so that
busy neighbours matter little.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

from _runs import quiet

from stn_lightning.callbacks import TransformerHealth
from stn_lightning.cli import CLI

CONFIG = str(Path(__file__).parents[1] / "configs" / "quickstart.yaml")
HOOKS = ("on_train_batch_start", "on_train_batch_end", "on_before_optimizer_step", "_see")


class Watched(TransformerHealth):
    """The callback with a watch, or in its place a watch alone.

    Args:
        active: whether it measures.
    """

    def __init__(self, active: bool) -> None:
        super().__init__()
        self.inside = self.start = self.total = 0.0
        self.steps = 0
        for name in HOOKS:
            setattr(self, name, self._timed(getattr(self, name)) if active else lambda *args, **kwargs: None)

    def _timed(self, hook: Callable[..., None]) -> Callable[..., None]:
        def timed(*args: Any, **kwargs: Any) -> None:
            start = process_time()
            hook(*args, **kwargs)
            self.inside += process_time() - start

        return timed

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Starts the watch."""
        super().on_train_start(trainer, pl_module)
        self.start = process_time()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Stops the watch."""
        self.total, self.steps = process_time() - self.start, trainer.global_step


class WatchedCLI(CLI):
    """The command line, with a watched callback in place of the usual one."""

    watched: Watched

    def _usual_callbacks(self, *args: Any) -> list[Any]:
        usual = super()._usual_callbacks(*args)
        return [self.watched if isinstance(callback, TransformerHealth) else callback for callback in usual]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    arguments, options = parser.parse_known_args()
    quiet()
    steps: dict[bool, list[float]] = {True: [], False: []}
    inside = []
    for _ in range(arguments.rounds):
        for active in (True, False):
            WatchedCLI.watched = watched = Watched(active)
            with tempfile.TemporaryDirectory() as folder:
                root = f"--trainer.default_root_dir={folder}"
                WatchedCLI(["fit", "-c", CONFIG, root, f"--trainer.max_epochs={arguments.epochs}", *options])
            steps[active].append(watched.total / watched.steps * 1e3)
            if active:
                inside.append(watched.inside / watched.steps * 1e3)
        print(
            f"with {steps[True][-1]:.3f} ms, without {steps[False][-1]:.3f} ms, inside {inside[-1]:.4f} ms a step", flush=True
        )
    on, off = median(steps[True]), median(steps[False])
    print(
        f"\nwith {on:.3f} ms a step, without {off:.3f} ms: {on / off - 1:+.2%}; inside the callback {median(inside) / off:.2%}"
    )


if __name__ == "__main__":
    main()
