"""What it costs that nothing is lost: the time that a fit of the quickstart spends in the parts that see to it.

python benchmarks/reliability.py [--epochs 20] [further options of `stn fit`]

Measured inside their methods, since two whole fits differ by more than they cost. A checkpoint is compared with what
Lightning's own plugin takes for the same one.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from _runs import quiet
from lightning.pytorch.plugins import TorchCheckpointIO

from stn_lightning.callbacks import Preemption, RandomState, ResumePoint
from stn_lightning.checkpoints import WholeCheckpoints
from stn_lightning.cli import CLI

CONFIG = str(Path(__file__).parents[1] / "configs" / "quickstart.yaml")
REPEATS = 20
SAVE = "save_checkpoint"


class Watch:
    """Seconds and calls of methods, by class and name."""

    def __init__(self) -> None:
        self.calls = Counter[tuple[type, str]]()
        self.seconds: dict[tuple[type, str], float] = defaultdict(float)

    def look_at(self, cls: type, name: str) -> None:
        method: Callable[..., Any] = getattr(cls, name)

        @wraps(method)
        def watched(*args: Any, **kwargs: Any) -> Any:
            start = perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                self.seconds[cls, name] += perf_counter() - start
                self.calls[cls, name] += 1

        setattr(cls, name, watched)


class Kept(WholeCheckpoints):
    """Keeps the last checkpoint that it wrote."""

    checkpoint: dict[str, Any]

    def save_checkpoint(self, checkpoint: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        Kept.checkpoint = checkpoint
        super().save_checkpoint(checkpoint, *args, **kwargs)


class KeepingCLI(CLI):
    """The command line, with them."""

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        self.checkpoints = Kept()
        return super().instantiate_trainer(**kwargs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=20)
    arguments, options = parser.parse_known_args()
    quiet()
    watch = Watch()
    for part in (Preemption, RandomState, ResumePoint):
        for name in [name for name in vars(part) if name.startswith("on_")]:
            watch.look_at(part, name)
    watch.look_at(WholeCheckpoints, SAVE)
    with tempfile.TemporaryDirectory() as folder:
        own = [f"--trainer.default_root_dir={folder}", f"--trainer.max_epochs={arguments.epochs}"]
        start = perf_counter()
        cli = KeepingCLI(["fit", "-c", CONFIG, *own, "--trainer.enable_progress_bar=false", *options])
        total = perf_counter() - start
        plain = []
        for _ in range(REPEATS):
            start = perf_counter()
            TorchCheckpointIO().save_checkpoint(Kept.checkpoint, str(Path(folder) / "plain.ckpt"))
            plain.append(perf_counter() - start)
    saves, saving = watch.calls[WholeCheckpoints, SAVE], watch.seconds.pop((WholeCheckpoints, SAVE))
    steps, hooks = cli.trainer.global_step, sum(watch.seconds.values())
    more = saving - saves * median(plain)
    print(f"{total:.1f} s, {steps} steps, {saves} checkpoints")
    print(f"callbacks: {1e6 * hooks / steps:.0f} us a step, {hooks / total:.2%}")
    print(
        f"a checkpoint: {1e3 * saving / saves:.1f} ms, Lightning's own {1e3 * median(plain):.1f} ms; {more / total:.2%} more"
    )


if __name__ == "__main__":
    main()
