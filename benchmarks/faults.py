"""Faults x injected x lost: kills, full disks, damaged and hostile files, dead and frozen processes.

python benchmarks/faults.py [--only NAME ...] [--trials N] [--file runs/faults.jsonl] [--write docs/reliability.md]

A trial is a real one: processes are killed, disks are full, bytes are flipped. A row is written when a fault is done; rows
that the file holds are not done again.
"""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import _faults
from _faults.fault import Fault
from _runs import complete

START, END = "<!-- faults -->\n", "<!-- end of faults -->\n"


def all_faults() -> list[Fault]:
    """Those of all modules, in their order."""
    modules = sorted(module.name for module in iter_modules(_faults.__path__))
    return [fault for name in modules for fault in getattr(import_module(f"_faults.{name}"), "FAULTS", [])]


def inject(fault: Fault, trials: int) -> dict[str, Any]:
    """The row of a fault: how often it was injected, and what went wrong in which trial."""
    start, wrong = perf_counter(), {}
    for number in range(trials):
        with TemporaryDirectory(prefix="stn-fault-") as folder:
            if found := fault.trial(number, Path(folder)):
                wrong[number] = found
                print(f"  trial {number}: {found}", flush=True)
    return {"goal": fault.goal, "injected": trials, "wrong": wrong, "seconds": round(perf_counter() - start)}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """In Markdown."""
    lines = ["| fault | injected | what must not happen | how often it did |", "|-|-|-|-|"]
    lines += [f"| {row['fault']} | {row['injected']} | {row['goal']} | {len(row['wrong'])} |" for row in rows]
    return "".join(f"{line}\n" for line in lines)


def main() -> None:
    faults = {fault.name: fault for fault in all_faults()}
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", default=list(faults), choices=list(faults), metavar="NAME", help="; ".join(faults)
    )
    parser.add_argument("--trials", type=int, help="instead of the number that each fault has")
    parser.add_argument("--file", type=Path, default=Path("runs/faults.jsonl"))
    parser.add_argument("--write", type=Path, help="a page whose table is replaced")
    arguments = parser.parse_args()

    def run(job: Mapping[str, Any]) -> Mapping[str, Any]:
        fault = faults[job["fault"]]
        return inject(fault, arguments.trials or fault.trials)

    found = {row["fault"]: row for row in complete(arguments.file, [{"fault": name} for name in arguments.only], run)}
    text = table([found[name] for name in faults if name in found])
    print(f"\n{text}")
    if arguments.write:
        before, _, rest = arguments.write.read_text().partition(START)
        arguments.write.write_text(f"{before}{START}\n{text}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
