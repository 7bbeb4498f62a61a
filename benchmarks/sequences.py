"""Drawn house numbers on loose crops x {CNN, ST-CNN Single, ST-CNN Multi} x seeds: sequence error on the test images.

python benchmarks/sequences.py [--models ...] [--seeds 0 1 2] [--file runs/sequences.jsonl] [further options of `stn fit`]

configs/experiment/numbers128_*.yaml with configs/recipe/numbers_short.yaml: the same steps, data and width for all. A row is
written when its run is finished; rows that the file holds are not run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from _runs import asked, by_model, complete, in_words, train

CONFIGS = Path(__file__).parents[1] / "configs"
MODELS = {"CNN": "cnn", "ST-CNN Single": "st_single", "ST-CNN Multi": "st_multi"}


def main() -> None:
    arguments, options = asked(__doc__, MODELS, "runs/sequences.jsonl")

    def run(job: Mapping[str, Any]) -> Mapping[str, Any]:
        experiment = ["-c", str(CONFIGS / "experiment" / f"numbers128_{MODELS[job['model']]}.yaml")]
        recipe = ["-c", str(CONFIGS / "recipe" / "numbers_short.yaml"), *options]
        return train([*experiment, *recipe], job["seed"])[0]._asdict()

    found = complete(arguments.file, arguments.jobs, run)
    print("\n| model | parameters | errors, % | mean | standard error | seconds |\n|-|-|-|-|-|-|")
    for model, runs in by_model(found, MODELS):
        seconds = fmean(run["seconds"] for run in runs)
        print(f"| {model} | {runs[0]['parameters']:,} | {in_words([run['error'] for run in runs])} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
