"""Drawn house numbers on loose crops x {CNN, ST-CNN Single, ST-CNN Multi} x seeds: sequence error on the test images.

python benchmarks/sequences.py [--models ...] [--seeds 0 1 2] [--file runs/sequences.jsonl] [further options of `stn fit`]

configs/experiment/numbers128_*.yaml with configs/recipe/numbers_short.yaml: the same steps, data and width for all. A row is
written when its run is finished; rows that the file holds are not run again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from _runs import quiet, train

CONFIGS = Path(__file__).parents[1] / "configs"
MODELS = {"CNN": "cnn", "ST-CNN Single": "st_single", "ST-CNN Multi": "st_multi"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--file", type=Path, default=Path("runs/sequences.jsonl"))
    arguments, options = parser.parse_known_args()
    quiet()
    arguments.file.parent.mkdir(parents=True, exist_ok=True)
    for seed in arguments.seeds:
        for model in arguments.models:
            if any((row["model"], row["seed"]) == (model, seed) for row in rows(arguments.file)):
                continue
            experiment = ["-c", str(CONFIGS / "experiment" / f"numbers128_{MODELS[model]}.yaml")]
            recipe = ["-c", str(CONFIGS / "recipe" / "numbers_short.yaml"), *options]
            print(f"training {model}, seed {seed} ...", flush=True)
            result, _ = train([*experiment, *recipe], seed)
            with arguments.file.open("a") as stream:
                stream.write(json.dumps({"model": model, "seed": seed, **result._asdict()}) + "\n")
    print("\n| model | parameters | errors, % | mean | standard error | seconds |\n|-|-|-|-|-|-|")
    for model in MODELS:
        runs = sorted((row for row in rows(arguments.file) if row["model"] == model), key=lambda row: row["seed"])
        if runs:
            errors = [run["error"] for run in runs]
            spread = f"{stdev(errors) / len(errors) ** 0.5:.2f}" if len(errors) > 1 else "-"
            each, seconds = ", ".join(f"{error:.2f}" for error in errors), fmean(run["seconds"] for run in runs)
            print(f"| {model} | {runs[0]['parameters']:,} | {each} | {fmean(errors):.2f} | {spread} | {seconds:.0f} |")


def rows(file: Path) -> list[dict[str, Any]]:
    """The finished runs."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


if __name__ == "__main__":
    main()
