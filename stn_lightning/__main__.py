"""``stn`` and ``python -m stn_lightning``."""

from __future__ import annotations

import sys

from stn_lightning._commands import COMMANDS
from stn_lightning._commands import run as run_command


def main(args: list[str] | None = None) -> None:
    """Runs ``stn`` with command-line arguments; those of the process where None."""
    given = sys.argv[1:] if args is None else args
    if given == ["--version"]:  # at once: no import of torch or Lightning
        from stn_lightning import __version__

        sys.stdout.write(f"stn {__version__}\n")
        return
    if given and given[0] in COMMANDS:
        sys.exit(run_command(given[0], given[1:]))
    from stn_lightning.cli import run

    run(args)


if __name__ == "__main__":
    main()
