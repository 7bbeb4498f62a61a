"""ST-CNN and the same-sized CNN on RTS-distorted MNIST: 12 passes over 55,000 images, test error after the last.

python benchmarks/rts.py [--seeds 0 1 2] [further options of `stn fit`, such as --data.root=FOLDER]

The CNN has the base structure of the ST-CNN, the average pooling at its entrance included. CNN (42x42) goes without that
pooling: it sees the full resolution, at several times the cost; ask for it by --full.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from _runs import report, train_all

CONFIGS = Path(__file__).parents[1] / "configs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--full", action="store_true", help="train the CNN without pooling at its entrance too")
    arguments, options = parser.parse_known_args()
    recipe = ["-c", str(CONFIGS / "recipe" / "short.yaml"), *options]
    experiment = ["-c", str(CONFIGS / "experiment" / "rts_st_cnn.yaml"), *recipe]
    models = {"CNN": [*experiment, "--model.transform=null"], "ST-CNN": experiment}
    if arguments.full:
        models["CNN (42)"] = ["-c", str(CONFIGS / "experiment" / "rts_cnn.yaml"), *recipe]
    results, _ = train_all(models, arguments.seeds)
    report(results)


if __name__ == "__main__":
    main()
