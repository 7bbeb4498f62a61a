"""Bilinear and multisampling on cluttered MNIST through a small window: test errors after the last epoch.

python plugins/stn-multisampling/benchmarks/clutter.py [--seeds 0 1 2] [--samplers ...] [options of `stn fit`]
"""

from __future__ import annotations

import argparse
import logging
import warnings
from pathlib import Path
from statistics import fmean, stdev
from time import process_time

from lightning.pytorch import Trainer
from stn_lightning.cli import CLI

CONFIG = Path(__file__).parents[1] / "configs" / "tc_small_window.yaml"
QUIET = [f"--trainer.{name}=false" for name in ("logger", "enable_progress_bar", "enable_model_summary")]


def run(sampler: str, seed: int, options: list[str]) -> tuple[float, float]:
    """Test error in %, and seconds of processor time of the training."""
    start = process_time()
    cli = CLI(["fit", f"-c={CONFIG}", f"--model.sampler={sampler}", f"--seed_everything={seed}", *QUIET, *options])
    seconds = process_time() - start
    tester = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    (metrics,) = tester.test(cli.model, cli.datamodule, verbose=False)
    return 100 * metrics["test/error"], seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--samplers", nargs="+", default=["bilinear", "multisampling"])
    arguments, options = parser.parse_known_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    for sampler in arguments.samplers:
        results = [run(sampler, seed, options) for seed in arguments.seeds]
        errors = [error for error, _ in results]
        spread = stdev(errors) / len(errors) ** 0.5 if len(errors) > 1 else float("nan")
        seconds = fmean(seconds for _, seconds in results)
        each = " ".join(f"{error:6.2f}" for error in errors)
        print(
            f"{sampler:14} {each}   mean {fmean(errors):.2f} +- {spread:.2f} %, {seconds:.0f} s of processor time", flush=True
        )


if __name__ == "__main__":
    main()
