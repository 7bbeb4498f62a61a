"""Which code runs, and with what."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from typing import NamedTuple

from stn_lightning.reproducing._table import CONFIGS, PACKAGE


class Code(NamedTuple):
    """The code of a run.

    Attributes:
        commit: of the checkout; of an installed package its version.
        dirty: whether package or configs differ from the commit.
    """

    commit: str
    dirty: bool


def code() -> Code:
    """The code that a process started now would run."""
    if _git("ls-files", "--error-unmatch", "__init__.py") is None:  # not ours: an environment may lie in a checkout
        return Code(version("stn-lightning"), dirty=False)
    commit = _git("rev-parse", "HEAD")
    return Code((commit or "").strip(), bool(_git("status", "--porcelain", "--", str(PACKAGE), str(CONFIGS))))


def versions() -> dict[str, str]:
    """Of what a number depends on."""
    return {"python": platform.python_version()} | {name: version(name) for name in ("stn-lightning", "torch", "lightning")}


def _git(*args: str) -> str | None:
    """What git says of the checkout; None where there is no git, no checkout, or an error."""
    try:
        done = subprocess.run(["git", "-C", str(PACKAGE), *args], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout
