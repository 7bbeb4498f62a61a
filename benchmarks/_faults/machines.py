"""Two machines: network namespaces with a cable (veth) between them, ``torchrun`` on each, gloo, and one file system.

The cable is cut in mid-run (``ip link set down``) and put back; both ends have to end, and the run that is resumed has to
end as an uninterrupted one. Needs the right to make namespaces.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import torch

from _faults._jobs import OPTIONS, chance, timeout
from _faults.fault import Fault

TIMEOUT = 30  # seconds
HOSTS = ("10.199.0.1", "10.199.0.2")
PORT = 29517
NOT_PERMITTED = "network namespaces are not permitted here"


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def permitted() -> bool:
    """Whether this process may make network namespaces."""
    try:
        with machines("probe"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def machines(name: str) -> Iterator[list[str]]:
    """Two namespaces; those of another name are others."""
    names = [f"stn-{name}-{end}" for end in range(2)]
    try:
        for end in names:
            ip("netns", "add", end)
            ip("-n", end, "link", "set", "lo", "up")
        ip("link", "add", "stn0", "netns", names[0], "type", "veth", "peer", "name", "stn0", "netns", names[1])
        for end, host in zip(names, HOSTS, strict=True):
            ip("-n", end, "addr", "add", f"{host}/24", "dev", "stn0")
            ip("-n", end, "link", "set", "stn0", "up")
        yield names
    finally:
        for end in names:
            subprocess.run(["ip", "netns", "del", end], capture_output=True, check=False)


def start(names: Sequence[str], folder: Path, epochs: int, root: str, *options: str) -> list[subprocess.Popen[bytes]]:
    """The job on both."""
    running = []
    for rank, end in enumerate(names):
        own = ["--nnodes=2", "--nproc-per-node=1", f"--node-rank={rank}", f"--master-addr={HOSTS[0]}", f"--master-port={PORT}"]
        command = [sys.executable, "-m", "torch.distributed.run", *own, "-m", "stn_lightning", "fit", *OPTIONS]
        size = [f"--trainer.max_epochs={epochs}", "--trainer.devices=1", "--trainer.num_nodes=2"]
        where = [f"--trainer.default_root_dir={root}"]
        with (folder / f"{root}-{rank}.txt").open("a") as file:
            running.append(
                subprocess.Popen(
                    ["ip", "netns", "exec", end, *command, *size, *where, *timeout(TIMEOUT), *options],
                    cwd=folder,
                    env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "stn0"},
                    stdout=file,
                    stderr=file,
                )
            )
    return running


def ended(running: Sequence[subprocess.Popen[bytes]], seconds: float) -> list[int | None]:
    """The exit codes; None where one had to be killed."""
    end, codes = monotonic() + seconds, list[int | None]()
    for process in running:
        try:
            codes.append(process.wait(max(0.1, end - monotonic())))
        except subprocess.TimeoutExpired:
            process.kill()  # the kernel ends its ranks
            codes.append(None)
    return codes


def weights(folder: Path, root: str) -> dict[str, torch.Tensor]:
    newest = max((folder / root).rglob("last.ckpt"), key=lambda file: file.stat().st_mtime)
    state: dict[str, torch.Tensor] = torch.load(newest, map_location="cpu", weights_only=True)["state_dict"]
    return state


def cut(number: int, folder: Path) -> str:
    """At any moment behind the first epoch."""
    epochs = 40
    with machines(str(number)) as names:
        if (codes := ended(start(names, folder, epochs, "whole"), 600)) != [0, 0]:
            return f"not cut, it ended with {codes}: {(folder / 'whole-0.txt').read_text()[-400:]}"
        running = start(names, folder, epochs, "cut")
        end = monotonic() + 300
        while not list((folder / "cut").rglob("last.ckpt")) and monotonic() < end:
            sleep(0.02)
        sleep(chance(number, "cut").uniform(0, 1))
        before = [process.poll() for process in running]
        ip("-n", names[0], "link", "set", "stn0", "down")
        codes = ended(running, TIMEOUT + 40)
        ip("-n", names[0], "link", "set", "stn0", "up")
        if before != [None, None]:
            return f"it had ended before the cut: {before}"
        if None in codes or 0 in codes:
            return f"cut, it ended with {codes}"
        if (codes := ended(start(names, folder, epochs, "cut", "--ckpt_path=last"), 600)) != [0, 0]:
            return f"resumed, it ended with {codes}: {(folder / 'cut-0.txt').read_text()[-400:]}"
    whole, resumed = weights(folder, "whole"), weights(folder, "cut")
    different = [name for name in whole if not torch.equal(whole[name], resumed[name])]
    return f"{len(different)} of {len(whole)} weights differ" if different else ""


def cut_where_permitted(number: int, folder: Path) -> str:
    return cut(number, folder) if permitted() else NOT_PERMITTED


FAULTS = [
    Fault(
        "the network between two machines is cut (timeout of 30 s), and the run resumed",
        "an end that hangs, exit code 0, other weights than an uninterrupted run's",
        2,
        0,
        cut_where_permitted,
    )
]
