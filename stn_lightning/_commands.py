"""The commands of ``stn`` beside those of the trainer, each imported when it is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pkgutil import resolve_name
from typing import NamedTuple

from stn_lightning._printable import printable


class Command(NamedTuple):
    """A command.

    Attributes:
        runs: the path ``module:function`` of what takes the arguments (list of str) and returns the exit code.
        summary: what it does, after its name.
    """

    runs: str
    summary: str


COMMANDS = {
    "show": Command("stn_lightning._show_command:run", "draws what the transformers of a checkpoint do"),
    "report": Command("stn_lightning._report_command:run", "makes a table of finished runs"),
    "reproduce": Command("stn_lightning._reproduce_command:run", "runs a table of experiments, beside the paper's numbers"),
    "export": Command("stn_lightning._export_command:run", "writes a checkpoint as ONNX or as a torch.export program"),
    "plugins": Command("stn_lightning._plugin_commands:plugins", "lists the installed plugins"),
    "check-plugin": Command("stn_lightning._plugin_commands:check_plugin", "tests a plugin"),
}
USER_ERRORS = (ValueError, OSError, ImportError)
TRACEBACK = "STN_TRACEBACK"  # environment variable: raise errors as they are


def in_one_line(message: str) -> str:
    """An error as a user reads it; what a terminal would obey, in a name of a file's, is escaped."""
    return f"{printable(' '.join(message.split()))} ({TRACEBACK}=1 shows where)"


def run(name: str, args: Sequence[str]) -> int:
    """Runs a command; what a user can mend ends it with one line instead of a traceback.

    A reader of the output that stops early, such as ``head``, is no error.

    Args:
        name: of the command.
        args: what follows its name.

    Returns:
        The exit code: that of the command, or 1 on a user's error. ``STN_TRACEBACK=1`` raises the error itself.
    """
    try:
        code: int = resolve_name(COMMANDS[name].runs)(list(args))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter flushes into it again
        return 0
    except USER_ERRORS as e:
        if os.environ.get(TRACEBACK):
            raise
        sys.stderr.write(f"stn {name}: error: {in_one_line(str(e))}\n")
        return 1
    return code
