"""The cache of house numbers: memory that building it adds, images a second, and the time of a second start.

python benchmarks/house_numbers.py [--images 10000] [--root FOLDER]

Draws the images into the folder (a temporary one unless given), then builds the caches of 64 and 128 pixels and opens them,
each in a fresh process. Memory is the peak of the resident set, pages of files too, less what it is after imports; imports are
not timed. Linux only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from stn_lightning.data import HouseNumbers

CROPS = {64: (1.3, 54), 128: (2.6, 108)}
TEST = 16


def house_numbers(root: str, images: int, side: int) -> HouseNumbers:
    enlargement, crop = CROPS[side]
    return HouseNumbers(root=root, num_generated=(images, TEST), side=side, enlargement=enlargement, crop=crop)


def resident(which: str) -> int:
    """KiB of the resident set of this process: ``VmRSS``, now; ``VmHWM``, at its peak (getrusage counts the parent's, too)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which))


def start(root: str, images: int, side: int, what: str) -> None:
    data = house_numbers(root, images, side)
    before, begin = resident("VmRSS"), perf_counter()
    data.prepare_data()
    prepared = perf_counter() - begin
    data.setup()
    seconds = perf_counter() - begin
    added = resident("VmHWM") - before
    speed = f", {(images + TEST) / prepared:,.0f} images/s" if what == "build" else ""
    print(f"{side} px, {what}: prepare_data and setup {seconds:.2f} s{speed}; {added / 1024:,.0f} MiB added", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--root")
    parser.add_argument("--start", nargs=2, metavar=("SIDE", "WHAT"), help="what a fresh process does")
    arguments = parser.parse_args()
    if arguments.start:
        start(arguments.root, arguments.images, int(arguments.start[0]), arguments.start[1])
        return
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.root or folder
        begin = perf_counter()
        HouseNumbers(root=root, num_generated=(arguments.images, TEST), side=1, crop=1).prepare_data()
        print(f"drawing, and a cache of 1 px: {perf_counter() - begin:.1f} s", flush=True)
        for side in CROPS:
            for what in ("build", "second start"):
                options = ["--images", str(arguments.images), "--root", root, "--start", str(side), what]
                subprocess.run([sys.executable, __file__, *options], check=True)


if __name__ == "__main__":
    main()
