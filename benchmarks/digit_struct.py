"""Seconds, bytes and memory of writing and reading every bounding box of SVHN as digitStruct.mat; what is read is compared.

python benchmarks/digit_struct.py annotations.json.gz [--step 10]

The file holds {"train": [[name, width, height, [[label, left, top, right, bottom], ...]], ...], "test": ...}.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import tempfile
import time
from pathlib import Path

from stn_lightning.data._svhn.digit_struct import Box, HouseNumber, read_digit_struct, write_digit_struct


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--step", type=int, default=1, help="take every n-th image")
    arguments = parser.parse_args()
    with gzip.open(arguments.annotations) as packed:
        splits = json.load(packed)
    for split, rows in splits.items():
        numbers = [
            HouseNumber(name, tuple(Box(int(label) % 10, x0, y0, x1 - x0, y1 - y0) for label, x0, y0, x1, y1 in boxes))
            for name, _, _, boxes in rows[:: arguments.step]
        ]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "digitStruct.mat"
            start = time.perf_counter()
            write_digit_struct(file, numbers)
            written = time.perf_counter()
            found = read_digit_struct(file)
            done = time.perf_counter()
            size = file.stat().st_size
        print(
            f"{split}: {len(found)} images, {sum(len(number.boxes) for number in found)} digits, equal: {found == numbers}; "
            f"write {written - start:.1f} s, read {done - written:.1f} s, {size / 1e6:.0f} MB, "
            f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB"
        )


if __name__ == "__main__":
    main()
