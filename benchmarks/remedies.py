"""Runs that fail, and the same with one remedy switched on: test error and what the transformers do.

python benchmarks/remedies.py [--cases ...] [--seeds 0 1 2] [--file runs/remedies.jsonl] [further options of `stn fit`]

Embedded digits, distorted as RTS, an ST-FCN of 120,000 parameters, 15 passes over 1,297 images: seconds a run. Each is one
command, `stn fit -c configs/quickstart.yaml BASE FAILING [REMEDY]`, which --list prints. A row is written when its run is
finished; rows that the file holds are not run again, nor is a failing run that several remedies have in common.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from _runs import complete, train_and_test

from stn_lightning.penalties import cell_areas, outside

CONFIG = str(Path(__file__).parents[1] / "configs" / "quickstart.yaml")
BASE = "--model.network=FCN --model.network.parameters=120000 --model.scheduler=null --trainer.max_epochs=15"
QUIET = "--trainer.logger=false --trainer.enable_checkpointing=false --trainer.limit_val_batches=0"


class Case(NamedTuple):
    """What makes a run fail, and the one switch that mends it."""

    failing: str
    remedy: str


HIGH = "--model.localisation_lr_scale=10"  # theta leaps in the first steps
LEAP = "--model.optimizer.lr=0.01"  # of the whole network: theta leaps with some seeds
OUTSIDE = "--model.transform=translation --model.transform.scale=0.6 --model.initial=[1.7,0]"
DARK = "--data.distortion=_dark_on_white.DarkOnWhite --model.optimizer.lr=0.001"
TINY = "--data.distortion=stn_lightning.distortions.RandomScale --data.distortion.low=0.25 --data.distortion.high=0.35"
CASES = {
    "localisation_lr_scale": Case(HIGH, "--model.localisation_lr_scale=1"),
    "frozen_epochs": Case(HIGH, "--model.frozen_epochs=3"),
    "bounded": Case(HIGH, "--model.localisation=bounded --model.localisation.localisation=fc"),
    "theta_clip": Case(LEAP, "--model.theta_clip=1"),
    "Area": Case(HIGH, "--model.penalties+=Area --model.penalties.weight=10"),
    "Identity": Case(HIGH, "--model.penalties+=Identity"),
    "Outside": Case(HIGH, "--model.penalties+=Outside"),
    "Outside, from outside": Case(OUTSIDE, "--model.penalties+=Outside --model.penalties.weight=10"),
    "Equivariance": Case(OUTSIDE, "--model.penalties+=Equivariance"),
    "background": Case(DARK, "--model.sampler=bilinear --model.sampler.padding_mode=background"),
    "initial": Case(f"{TINY} --model.network.pool=7 --trainer.max_epochs=4", "--model.initial=0.35"),
}


def run(options: list[str], seed: int) -> dict[str, float]:
    """Test error in %, and of the warps of test images: area, and distance outside."""
    result, cli, _ = train_and_test(["-c", CONFIG, *BASE.split(), *QUIET.split(), *options], seed)
    images, _ = next(iter(cli.datamodule.test_dataloader()))
    with torch.no_grad():
        (warp,) = cli.model.eval()(images).warps.values()
    areas = cell_areas(warp.grid)
    return {
        "error": result.error,
        "seconds": result.seconds,
        "area": float(areas.mean()),
        "folds": float((areas < 0).float().mean()),
        "outside": float(outside(warp.grid).mean()),
    }


def in_words(rows: list[dict[str, Any]]) -> str:
    """Cells of a table: errors, and means of what the transformers do."""
    errors = ", ".join(f"{row['error']:.1f}" for row in rows)
    return f"{errors} | {fmean(row['area'] for row in rows):.2f} | {fmean(row['outside'] for row in rows):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--file", type=Path, default=Path("runs/remedies.jsonl"))
    parser.add_argument("--list", action="store_true", help="print the commands and end")
    arguments, options = parser.parse_known_args()
    if arguments.list:
        for name in arguments.cases:
            print(f"# {name}\nstn fit -c configs/quickstart.yaml {BASE} {CASES[name].failing} \\\n    {CASES[name].remedy}")
        return
    os.environ["STN_ALLOW_IMPORT"] = "_dark_on_white"
    pairs = {name: (case.failing, f"{case.failing} {case.remedy}") for name, case in CASES.items() if name in arguments.cases}
    jobs = [{"options": text, "seed": seed} for pair in pairs.values() for seed in arguments.seeds for text in pair]

    def one(job: Mapping[str, Any]) -> Mapping[str, Any]:
        return run([*job["options"].split(), *options], job["seed"])

    found = {(row["options"], row["seed"]): row for row in complete(arguments.file, jobs, one)}
    print("\n| remedy | error without, % | area | outside | error with, % | area | outside |\n|-|-|-|-|-|-|-|")
    for name, pair in pairs.items():
        print(f"| {name} | {' | '.join(in_words([found[text, seed] for seed in arguments.seeds]) for text in pair)} |")


if __name__ == "__main__":
    main()
