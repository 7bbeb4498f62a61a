"""Every distorted set x {CNN, CNN pooled, ST-CNN affine, ST-CNN TPS}: 12 passes, one seed; a table beside the paper's.

python benchmarks/mnist.py [--sets R RTS P E TC] [--seed 0] [--file runs/mnist.jsonl] [further options of `stn fit`]

A row is written when its run is finished; rows that the file holds are not run again. The CNN sees the full resolution. At
42x42 and 60x60 the ST-CNNs have an average pooling after the spatial transformer; the pooled CNN has the same without it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _runs import complete, train

CONFIGS = Path(__file__).parents[1] / "configs"
PAPER = {
    "R": (1.2, None, 0.7, 0.7),
    "RTS": (0.8, None, 0.5, 0.5),
    "P": (1.5, None, 0.8, 0.8),
    "E": (1.4, None, 1.2, 1.1),
    "TC": (3.5, None, 1.7, None),
}
POOLED = "CNN pooled"
MODELS = {
    "CNN": ("cnn", "null"),
    POOLED: ("st_cnn", "null"),
    "ST-CNN affine": ("st_cnn", "affine"),
    "ST-CNN TPS": ("st_cnn", "tps"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(PAPER), choices=list(PAPER))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--file", type=Path, default=Path("runs/mnist.jsonl"))
    arguments, options = parser.parse_known_args()

    def run(job: Mapping[str, Any]) -> Mapping[str, Any]:
        experiment, transform = MODELS[job["model"]]
        base = ["-c", str(CONFIGS / "experiment" / f"{job['set'].lower()}_{experiment}.yaml")]
        recipe = ["-c", str(CONFIGS / "recipe" / "short.yaml"), f"--model.transform={transform}", *options]
        return {"seed": arguments.seed, **train([*base, *recipe], arguments.seed)[0]._asdict()}

    pooled = ("RTS", "TC")  # those larger than 28x28
    jobs = [{"set": name, "model": model} for name in arguments.sets for model in MODELS if model != POOLED or name in pooled]
    rows = {(row["set"], row["model"]): row for row in complete(arguments.file, jobs, run)}
    print("\n| set | " + " | ".join(f"{model} (paper)" for model in MODELS) + " | parameters |\n|" + "-|" * 6)
    for name, paper in PAPER.items():
        runs = [rows.get((name, model)) for model in MODELS]
        cells = [f"{run['error']:.2f} ({ref or '-'})" if run else "-" for run, ref in zip(runs, paper, strict=True)]
        counts = [run["parameters"] for run in runs if run] or [0]
        print(f"| {name} | {' | '.join(cells)} | {min(counts):,} to {max(counts):,} |")


if __name__ == "__main__":
    main()
