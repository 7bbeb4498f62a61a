"""`stn` in a process of its own for each command line, forked from one that has imported it: many trials in little time."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

CPU_SECONDS = 5
FORKS = """
import json, os, resource, signal, sys, time
import torch
import stn_lightning.cli
import stn_lightning._plugin_commands, stn_lightning._show_command
import stn_lightning._report_command, stn_lightning._export_command
from stn_lightning.__main__ import main
torch.set_num_threads(1)
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        os.chdir(asked["folder"])
        os.environ.update(asked["environment"])
        files = [os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC) for name in asked["files"]]
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(files[0], 1)
        os.dup2(files[1], 2)
        resource.setrlimit(resource.RLIMIT_CPU, (asked["limit"], asked["limit"] + 1))
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
        sys.path[:0] = asked["path"]
        sys.argv = ["stn", *asked["args"]]
        sys.stdin = open(0)
        try:
            if asked["code"]:
                exec(asked["code"], {"__name__": "__main__"})
            else:
                main(asked["args"])
        except SystemExit as e:
            code = e.code if isinstance(e.code, int) else int(e.code is not None)
            if isinstance(e.code, str):
                sys.stderr.write(e.code + "\\n")
        except BaseException:
            import traceback
            traceback.print_exc()
            code = 1
        else:
            code = 0
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    _, status, used = os.wait4(child, 0)
    done = {"code": os.waitstatus_to_exitcode(status), "seconds": used.ru_utime + used.ru_stime, "kib": used.ru_maxrss}
    print(json.dumps(done), flush=True)
"""


class Done(NamedTuple):
    """A command that has ended.

    Attributes:
        code: its exit code; that of the signal, negative, where one ended it.
        out: what it said.
        err: what it said on the standard error.
        seconds: of the processor.
        kib: the most memory that it had.
    """

    code: int
    out: str
    err: str
    seconds: float
    kib: int

    def wrong(self, *names: str) -> str:
        """What is wrong with a refusal; an empty text where it is one line that names all of ``names``."""
        lines = [line for line in self.err.splitlines() if "error:" in line]
        if self.code < 0:
            return f"ended by signal {-self.code} after {self.seconds:.1f} s of the processor"
        if self.code == 0:
            return f"accepted: {self.out[-200:]!r} {self.err[-300:]!r}"
        if "Traceback" in self.err or len(lines) != 1:
            return f"no error in one line: {self.err[-900:]}"
        if control := [c for c in self.out + self.err if not c.isprintable() and c not in "\n\t\r"]:
            return f"sends {control[:5]} to the terminal: {lines[0]!r}"
        return "".join(f"does not name {name}: {lines[0][:400]}" for name in names if name not in lines[0])


_server: list[subprocess.Popen[str]] = []


def run(
    folder: Path,
    *args: str,
    environment: Mapping[str, str] | None = None,
    path: Sequence[str] = (),
    code: str = "",
    limit: int = CPU_SECONDS,
) -> Done:
    """Runs a command line in a folder.

    Args:
        folder: where it runs.
        *args: what follows ``stn``.
        environment: variables, beside those of this process.
        path: of modules and packages, before the others.
        code: a program that is run instead of a command.
        limit: seconds of the processor, after which it is ended.
    """
    if not _server:
        given = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, "-c", FORKS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=given,
            cwd=folder.parent,
        )
        _server.append(process)
        atexit.register(process.terminate)
    server = _server[0]
    assert server.stdin is not None
    assert server.stdout is not None
    files = [str(folder / name) for name in ("out.txt", "err.txt")]
    asked = {"folder": str(folder), "args": args, "environment": dict(environment or {}), "path": list(path), "code": code}
    server.stdin.write(json.dumps({**asked, "files": files, "limit": limit}) + "\n")
    server.stdin.flush()
    done = json.loads(server.stdout.readline())
    out, err = (Path(file).read_text(errors="replace") for file in files)
    return Done(done["code"], out, err, done["seconds"], done["kib"])
