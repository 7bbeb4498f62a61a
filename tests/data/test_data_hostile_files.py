"""Hostile data files: each is refused by its reader, in a message that names it, and nothing is written elsewhere."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
sys.path.insert(0, BENCHMARKS)
from _faults import hostile_files  # noqa: E402

sys.path.remove(BENCHMARKS)
LONG = ("100 MB", "65 MB", "bomb", "chunks", "segments", "items share", "3,000 passes", "400 million", "part of nobody")
QUICK = [file for file in hostile_files.FILES if not any(word in file.name for word in LONG)]


@pytest.mark.parametrize("file", QUICK, ids=[ascii(file.name)[1:-1] for file in QUICK])
def test_hostile_file_is_refused(file, tmp_path):
    assert hostile_files.refused(file, tmp_path) == ""


def test_at_least_sixty_are_known_each_by_its_name():
    assert len({file.name for file in hostile_files.FILES}) == len(hostile_files.FILES) >= 60
