"""``stn reproduce``: a table of experiments, run and beside the paper's numbers."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from stn_lightning._files import whole_file
from stn_lightning.reproducing import (
    Asked,
    Job,
    Line,
    Pool,
    Table,
    add_lines,
    again,
    cores,
    finished_line,
    gpus,
    next_stage,
    only_one,
    plan,
    read_lines,
    read_table,
    replace_part,
    save_pictures,
    slots,
    verdict,
    written,
)

DESCRIPTION = """\
Runs a table of experiments: each cell with each seed is trained by `stn fit`, and its best checkpoint, chosen on validation
data, is tested by `stn test`. What is finished is not run again, what was stopped goes on. results.jsonl has a line of JSON
for each finished run; table.md and table.png show them beside the paper's numbers. Options after -- go to `stn fit`. Exit code
1 where a run failed."""
RESULTS = "results.jsonl"
ROOT = Path("runs/reproduce")


def run(args: Sequence[str]) -> int:
    """``stn reproduce TABLE [...] [-- OPTIONS]`` or ``stn reproduce --again FILE:LINE [-- OPTIONS]``.

    Args:
        args: what follows the command.

    Returns:
        The exit code: 0; 1 where a run failed, or a repeated one is not like the recorded one; 128 plus the number of the
        signal that ended it.
    """
    own = list(args[: args.index("--")]) if "--" in args else list(args)
    further = list(args[len(own) + 1 :])
    given = _parser().parse_args(own)
    if (given.table is None) == (given.again is None):
        raise ValueError("expected either TABLE or --again FILE:LINE")
    try:
        return _repeat(given, further) if given.again else _reproduce(given, further)
    except Asked as e:
        _say(f"{e}: stopped; the same command goes on")
        return 128 + e.number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("stn reproduce", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("table", nargs="?", metavar="TABLE", help="a name under configs/table, or a file .yaml like those")
    parser.add_argument("--rows", nargs="+", default=[], metavar="ROW[/COLUMN]", help="only these; default: all")
    parser.add_argument("--seeds", type=_count, default=3, metavar="N", help="seeds 0 to N - 1; 0 runs nothing; default: 3")
    parser.add_argument("--recipe", metavar="NAME", help="one of the table's; default: fast, where the table has it")
    parser.add_argument("--plan", action="store_true", help="print what would be run, and run nothing")
    parser.add_argument("--jobs", type=_count, metavar="N", help="runs at once; default: one for each GPU, or two cores")
    parser.add_argument("--share", type=_count, default=1, metavar="K", help="runs at once on each GPU; default: 1")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help=f"of the runs; default: {ROOT}/TABLE")
    parser.add_argument(
        "--write", type=Path, metavar="PAGE.md", help="add the finished runs to PAGE/TABLE.jsonl, and show them in PAGE.md"
    )
    parser.add_argument("--again", metavar="FILE:LINE", help="repeat a finished run, and say whether the number is the same")
    return parser


def _reproduce(given: argparse.Namespace, further: Sequence[str]) -> int:
    table = read_table(given.table)
    output: Path = given.output or ROOT / table.name
    jobs = plan(table, given.rows, given.seeds, given.recipe, further, output)
    if given.plan:
        _show(jobs, read_lines(output / RESULTS))
        return 0
    with only_one(output) as lock:
        todo = _show(jobs, read_lines(output / RESULTS))
        failed = _pool(given, lock, lambda job: _record(job, output / RESULTS)).run(todo)
    lines = read_lines(output / RESULTS)
    save_pictures(table, lines, str(output / "table"))
    text = written(table, lines, "table")
    with whole_file(output / "table.md") as stream:
        stream.write(text.encode())
    sys.stdout.write(f"\n{text}")
    if given.write is not None:
        _publish(table, lines, given.write)
    return int(bool(failed))


def _repeat(given: argparse.Namespace, further: Sequence[str]) -> int:
    output: Path = given.output or ROOT / "again"
    then, same, job = again(given.again, further, output)
    with only_one(job.folder) as lock:
        failed = _pool(given, lock, lambda _: None).run([job])
    if failed:
        return 1
    alike, why = verdict(then, finished_line(job), same)
    _say(f"{job.name}: {why}")
    return int(not alike)


def _show(jobs: Sequence[Job], lines: Sequence[Line]) -> list[Job]:
    """Prints the plan, and returns what is left to do."""
    done = [job for job in jobs if any(job.is_of(line) for line in lines)]
    for job in jobs:
        stage = None if job in done else next_stage(job)
        state = "done" if stage is None else "goes on" if stage.goes_on else stage.kind
        _say(f"{state:8} {job.name}: stn fit {' '.join(job.arguments)}")
    _say(f"runs: {len(jobs)}, recorded: {len(done)}")
    return [job for job in jobs if job not in done]


def _pool(given: argparse.Namespace, lock: int, finished: Callable[[Job], None]) -> Pool:
    threads = os.environ.get("OMP_NUM_THREADS", "")
    places = slots(given.jobs, given.share, gpus(), cores(), int(threads) if threads.isdigit() else None)
    return Pool(places, lock, _say, finished)


def _record(job: Job, results: Path) -> None:
    line = finished_line(job)
    add_lines(results, [line])
    _say(f"{job.name}: {job.metric} {100 * line['test'][job.metric]:.2f} %")


def _publish(table: Table, lines: Sequence[Line], page: Path) -> None:
    folder = page.with_suffix("")
    file = folder / f"{table.name}.jsonl"
    if lines:
        add_lines(file, lines)
    kept = read_lines(file)
    save_pictures(table, kept, str(folder / table.name))
    replace_part(page, table.name, written(table, kept, f"{folder.name}/{table.name}"))


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}")
    return int(text)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
