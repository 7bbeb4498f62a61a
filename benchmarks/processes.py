"""One process with batch 256 against two with 128 each: final validation error over seeds, and steps per second.

python benchmarks/processes.py [--seeds 0 1 2] [--epochs 60]

Embedded digits, RTS, ST-CNN of 120,000 parameters; the second form is configs/trainer/ddp_cpu.yaml in real processes, each
with one thread, against one process with two threads.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import fmean, stdev
from time import perf_counter

CONFIGS = Path(__file__).parents[1] / "configs"
FORMS = {
    "1 x 256": (["--trainer", str(CONFIGS / "trainer" / "cpu.yaml"), "--data.batch_size=256"], "2"),
    "2 x 128": (["--trainer", str(CONFIGS / "trainer" / "ddp_cpu.yaml"), "--data.batch_size=128"], "1"),
}


def run(options: list[str], threads: str, seed: int, epochs: int) -> tuple[float, float]:
    """Final validation error in %, and steps per second."""
    with tempfile.TemporaryDirectory() as root:
        command = [sys.executable, "-m", "stn_lightning", "fit", "-c", str(CONFIGS / "quickstart.yaml"), *options]
        common = [
            f"--seed_everything={seed}",
            f"--trainer.max_epochs={epochs}",
            "--trainer.check_val_every_n_epoch=1",
            "--trainer.log_every_n_steps=4",
            f"--trainer.default_root_dir={root}",
            "--trainer.enable_progress_bar=false",
        ]
        start = perf_counter()
        done = subprocess.run(
            [*command, *common], env={**os.environ, "OMP_NUM_THREADS": threads}, capture_output=True, text=True, check=False
        )
        seconds = perf_counter() - start
        if done.returncode:
            raise SystemExit(done.stderr[-2000:])
        rows = list(csv.DictReader((Path(root) / "version_0" / "metrics.csv").open()))
    errors = [float(row["val/error"]) for row in rows if row["val/error"]]
    steps = max(int(row["step"]) for row in rows) + 1
    return 100 * errors[-1], steps / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=60)
    arguments = parser.parse_args()
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in FORMS}
    for seed in arguments.seeds:
        for name, (options, threads) in FORMS.items():
            results[name].append(run(options, threads, seed, arguments.epochs))
            print(f"{name}, seed {seed}: {results[name][-1][0]:.2f} %, {results[name][-1][1]:.1f} steps/s", flush=True)
    for name, runs in results.items():
        errors, rates = zip(*runs, strict=True)
        spread = stdev(errors) if len(errors) > 1 else float("nan")
        print(f"{name}: validation error {fmean(errors):.2f} % (standard deviation {spread:.2f}), {fmean(rates):.1f} steps/s")


if __name__ == "__main__":
    main()
