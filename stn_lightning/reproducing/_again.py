"""A finished run, repeated from its line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import stdev

import yaml

from stn_lightning._files import whole_file
from stn_lightning.reproducing._job import KEY, Job
from stn_lightning.reproducing._results import Line, read_lines

SPREADS = 2  # standard deviations


def again(asked: str, further: Sequence[str], output: Path) -> tuple[Line, list[Line], Job]:
    """The run that repeats another.

    Args:
        asked: ``FILE:LINE`` of finished runs, lines from 1.
        further: options of ``stn fit``, which come last.
        output: folder; the run has one of its own there.

    Returns:
        The line, those of the same cell, itself included, and the run.

    Raises:
        ValueError: if there is no such line, or it is no finished run.
    """
    name, _, number = asked.rpartition(":")
    lines = read_lines(Path(name))
    if not number.isdigit() or not 1 <= int(number) <= len(lines):
        raise ValueError(f"--again: expected FILE:LINE, of which FILE has {len(lines)} lines, got {asked}")
    line = lines[int(number) - 1]
    same = [other for other in lines if all(other[name] == line[name] for name in KEY if name != "seed")]
    folder = output / f"{Path(name).stem}-{number}"
    config = folder / "repeated.yaml"  # not the name by which a folder of a run is known
    with whole_file(config) as stream:
        stream.write(yaml.safe_dump(line["config"], sort_keys=False).encode())
    arguments = ("-c", str(config), *further)
    return line, same, Job({name: line[name] for name in KEY}, line["metric"], arguments, folder, line["threads"])


def verdict(then: Line, now: Line, same: Sequence[Line]) -> tuple[bool, str]:
    """Whether a repeated run is like the recorded one, and why, in words.

    On a CPU with the same versions and threads the number is the same; else the two are at most two standard deviations apart,
    those of the recorded runs over seeds.

    Args:
        then: the recorded run.
        now: the repeated one.
        same: recorded runs of the same cell.
    """
    values = [100 * line["test"][then["metric"]] for line in (then, now)]
    said = f"{then['metric']} {values[0]:.4f} % recorded, {values[1]:.4f} % now"
    if values[0] == values[1]:
        return True, f"{said}: the same"
    apart = [name for name in ("device", "threads", "versions") if then[name] != now[name]]
    if then["device"].endswith("cpu") and not apart:
        return False, f"{said}: expected the same number, on the same device with the same threads and versions"
    different = f" (different {', '.join(apart)})" if apart else ""
    recorded: list[float] = [100 * line["test"][then["metric"]] for line in same]
    if len(recorded) < 2:
        return False, f"{said}{different}: one recorded seed has no spread to judge by"
    bound = SPREADS * stdev(recorded)
    near = abs(values[0] - values[1]) <= bound
    return (
        near,
        f"{said}{different}: {'within' if near else 'beyond'} {bound:.4f}, two standard deviations of {len(recorded)} seeds",
    )
