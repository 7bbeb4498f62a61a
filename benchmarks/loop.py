"""``stn fit`` against a plain PyTorch loop over the same batches, with the same model, optimizer and schedule.

python benchmarks/loop.py [--rounds 5] [--epochs 20] [further options of `stn fit`]

The quickstart's configuration; the two take turns in one process; medians of the wall time of whole fits, logging, pictures,
validation and checkpoints of `stn fit` included, the start of Python and imports not.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from _runs import quiet

from stn_lightning.cli import CLI
from stn_lightning.data import DistortedDigits
from stn_lightning.tasks import Classification

CONFIG = str(Path(__file__).parents[1] / "configs" / "quickstart.yaml")


class TimedCLI(CLI):
    """The command line, with the wall time of ``Trainer.fit``."""

    def before_fit(self) -> None:
        """Starts the watch."""
        self.start = perf_counter()

    def after_fit(self) -> None:
        """Stops the watch."""
        self.seconds = perf_counter() - self.start


def plain_loop(model: Classification, data: DistortedDigits, epochs: int) -> tuple[float, int]:
    """Seconds and steps of what a person would write by hand."""
    batches = data.train_dataloader()
    optimizer = torch.optim.Adam(model.network.parameters(), lr=0.003)
    steps = epochs * len(batches)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.003, total_steps=steps)
    model.train()
    start = perf_counter()
    for epoch in range(epochs):
        batches.set_epoch(epoch)
        for raw in batches:
            images, target = data.on_after_batch_transfer(raw, 0)
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model.network(images).prediction, target)
            torch.autograd.backward(loss)
            optimizer.step()
            scheduler.step()
    return perf_counter() - start, steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    arguments, options = parser.parse_known_args()
    quiet()
    fits, loops, steps = [], [], 0
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as folder:
            root = f"--trainer.default_root_dir={folder}"
            cli = TimedCLI(["fit", "-c", CONFIG, root, f"--trainer.max_epochs={arguments.epochs}", *options])
        seconds, steps = plain_loop(cli.model, cli.datamodule, arguments.epochs)
        fits.append(cli.seconds)
        loops.append(seconds)
        print(f"stn fit {fits[-1]:.2f} s, plain loop {loops[-1]:.2f} s, {fits[-1] / loops[-1]:.3f}x", flush=True)
    more = (median(fits) - median(loops)) / steps * 1e3
    print(f"\nstn fit takes {median(fits) / median(loops):.3f}x the plain loop, {more:+.2f} ms a step ({steps} steps)")


if __name__ == "__main__":
    main()
