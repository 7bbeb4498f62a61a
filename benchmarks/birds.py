"""Drawn birds x {backbone at 64 px, at 128 px, 2xST-CNN, 4xST-CNN} x seeds: error, FLOPs, and what the windows cover.

python benchmarks/birds.py [--recipe birds_tiny|birds_short] [--models ...] [--seeds 0 1 2] [--file runs/birds.jsonl]
    [further options of `stn fit`]

configs/experiment/birds*.yaml with a recipe of configs/recipe: the same backbone, steps and images for all. A row is written
when its run is finished; rows that the file holds are not run again. FLOPs are those of the forward pass of one image. Head
and body are means over their parts of the share of test images in which a window covers the part; in brackets, by windows of
the same size at places by chance inside the image.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from _runs import asked, by_model, complete, in_words, train_and_test
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from stn_lightning.data import Birds

CONFIGS = Path(__file__).parents[1] / "configs"
MODELS = {"backbone, 64 px": "64_cnn", "backbone, 128 px": "128_cnn", "2xST-CNN": "128_2st", "4xST-CNN": "128_4st"}
WINDOW = 0.5
DRAWS = 200


def flops(model: torch.nn.Module, shape: tuple[int, ...]) -> float:
    """Millions, of the forward pass of one image."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model.eval()(torch.zeros(1, *shape))
    return float(counter.get_total_flops() / 1e6)


def chance(points: Tensor, windows: int) -> float:
    """Share of points (N, 2) that one of several windows covers, each at a place by chance inside the image."""
    generator = torch.Generator().manual_seed(0)
    centres = (2 * torch.rand(DRAWS, windows, 1, 2, generator=generator) - 1) * (1 - WINDOW)
    return float(((points - centres).abs() <= WINDOW).all(3).any(1).float().mean())


def coverage(metrics: dict[str, float], data: Birds, windows: int) -> dict[str, float]:
    """What windows cover of each group of parts, and what they would by chance."""
    parts = torch.cat([batch.parts for batch in data.test_dataloader()])
    found = {}
    for group, members in data.groups.items():
        names = [(i, data.part_names[i].replace(" ", "_")) for i in members]
        shown = [(i, metrics[f"test/covered_{name}"]) for i, name in names if f"test/covered_{name}" in metrics]
        found[group] = fmean(value for _, value in shown)
        found[f"{group} by chance"] = fmean(chance(parts[parts[:, i, 2] > 0.5, i, :2], windows) for i, _ in shown)
    return found


def main() -> None:
    recipe = ArgumentParser(add_help=False)
    recipe.add_argument("--recipe", default="birds_tiny", choices=["birds_tiny", "birds_short"])
    arguments, options = asked(__doc__, MODELS, "runs/birds.jsonl", recipe)

    def run(job: Mapping[str, Any]) -> Mapping[str, Any]:
        experiment = ["-c", str(CONFIGS / "experiment" / f"birds{MODELS[job['model']]}.yaml")]
        steps = ["-c", str(CONFIGS / "recipe" / f"{job['recipe']}.yaml")]
        result, cli, metrics = train_and_test([*experiment, *steps, *options], job["seed"])
        windows = cli.model.num_parts
        covered = coverage(metrics, cli.datamodule, windows) if windows else {}
        return {**result._asdict(), "flops": flops(cli.model, cli.datamodule.input_shape), **covered}

    jobs = [{"recipe": arguments.recipe, **job} for job in arguments.jobs]
    found = [row for row in complete(arguments.file, jobs, run) if row["recipe"] == arguments.recipe]
    print("\n| network | parameters | MFLOPs | errors, % | mean | standard error | head | body |\n|-|-|-|-|-|-|-|-|")
    for model, runs in by_model(found, MODELS):
        covered = " | ".join(shares(runs, group) if group in runs[0] else "" for group in ("head", "body"))
        size = f"{runs[0]['parameters']:,} | {runs[0]['flops']:.1f}"
        print(f"| {model} | {size} | {in_words([run['error'] for run in runs])} | {covered} |")


def shares(runs: Sequence[Mapping[str, Any]], group: str) -> str:
    """Mean share of the parts of a group that windows cover, and by chance."""
    return f"{100 * fmean(run[group] for run in runs):.0f} % ({100 * runs[0][f'{group} by chance']:.0f} %)"


if __name__ == "__main__":
    main()
