"""``stn report``: a table of finished runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from stn_lightning._files import whole_file
from stn_lightning.reporting import FORMATS, find_runs, rows

DESCRIPTION = """\
One table of finished runs: a row for each configuration, whatever the seed, with the mean and the standard deviation of its
error over seeds, parameters, steps, time, and the command that repeats it. The error is that of `stn test` on a checkpoint
of each run, else that of the last validation. Exit code 1 where a folder is unfinished, damaged, or not of a run."""


def run(args: Sequence[str]) -> int:
    """``stn report RUNS... [--format markdown|csv|latex] [--output FILE]``.

    Args:
        args: what follows the command.

    Returns:
        The exit code: 0, or 1 where a folder is unfinished, damaged, or not of a run.
    """
    parser = argparse.ArgumentParser("stn report", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUNS", help="folders version_N, or folders with such below")
    parser.add_argument("--format", choices=list(FORMATS), default="markdown", help="default: markdown")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the table there instead of printing it")
    given = parser.parse_args(args)
    runs, not_finished = find_runs(given.runs)
    table, not_counted = rows(runs)
    for folder, why in (*not_finished, *not_counted):
        sys.stderr.write(f"stn report: left out {folder}: {' '.join(why.split())}\n")
    if not table:
        raise ValueError(f"no finished run of `stn fit` in {', '.join(map(str, given.runs))}")
    text = FORMATS[given.format](table)
    if given.output is None:
        sys.stdout.write(text)
    else:
        with whole_file(given.output) as stream:
            stream.write(text.encode())
    return int(bool(not_finished))
