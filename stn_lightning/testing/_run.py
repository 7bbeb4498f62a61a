"""The checks of the kit, run on an installed plugin without a test file of its author's."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from stn_lightning.testing._component_checks import ComponentChecks

Status = Literal["passed", "failed", "skipped"]


@dataclass
class Outcome:
    """What one check found, over all variants and settings.

    Attributes:
        check: the check in words.
        status: ``failed`` where any variant failed, ``skipped`` where none applied.
        messages: why, each once.
    """

    check: str
    status: Status = "skipped"
    messages: list[str] = field(default_factory=list)

    def add(self, status: Status, message: str | None) -> None:
        """Takes in one run of the check."""
        order: list[Status] = ["skipped", "passed", "failed"]
        if order.index(status) > order.index(self.status):
            self.status, self.messages = status, []
        if status == self.status and message and message not in self.messages:
            self.messages.append(message)


class _Listener:
    """A pytest plugin that only listens."""

    def __init__(self, several: bool) -> None:
        self.several = several
        self.outcomes: dict[str, Outcome] = {}
        self.problems: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        name, _, setting = report.location[2].partition("[")
        check = name.rpartition(".")[2].removeprefix("test_").replace("_", " ")
        message, variant = _message(report), setting.partition("-")[0].rstrip("]")
        if message and self.several and variant:
            message = f"with {variant}: {message}"
        self.outcomes.setdefault(check, Outcome(check)).add(report.outcome, message)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.problems.append(str(report.longrepr))


def run_checks(
    checks: type[ComponentChecks], name: str, variants: Sequence[Mapping[str, Any]] = ({},), **attributes: Any
) -> list[Outcome]:
    """Runs a class of checks on a plugin.

    Args:
        checks: the class of its kind.
        name: the plugin.
        variants: constructor arguments, one mapping for each variant.
        attributes: further class attributes, such as ``input_shape`` or ``inductor``.

    Returns:
        One outcome for each check.

    Raises:
        RuntimeError: if the checks could not be run.
    """
    attributes = {"name": name, "variants": tuple(variants), **attributes}
    body = "\n".join(f"    {key} = {value!r}" for key, value in attributes.items())
    source = f"from stn_lightning.testing import {checks.__name__}\n\n\nclass TestPlugin({checks.__name__}):\n{body}\n"
    listener = _Listener(several=len(variants) > 1)
    with tempfile.TemporaryDirectory() as folder, _alone():
        # a name of its own: pytest keeps imported modules by name
        file, settings = Path(folder) / f"test_{Path(folder).name}.py", Path(folder) / "pytest.ini"
        file.write_text(source)
        settings.write_text("[pytest]\n")  # not the project's in which the command happens to run
        options = ["-p", "no:terminal", "-p", "no:cacheprovider", "--import-mode=importlib"]
        pytest.main([str(file), "-c", str(settings), "--rootdir", folder, *options], plugins=[listener])
    if listener.problems or not listener.outcomes:
        raise RuntimeError(f"the checks of {name} could not be run: {'; '.join(listener.problems) or 'pytest found none'}")
    return list(listener.outcomes.values())


@contextmanager
def _alone() -> Iterator[None]:
    """Without the pytest plugins of the environment: the checks must not depend on them."""
    given = {key: os.environ.get(key) for key in ("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_ADDOPTS")}
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.environ.pop("PYTEST_ADDOPTS", None)
    try:
        yield
    finally:
        for key, value in given.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def _message(report: pytest.TestReport) -> str | None:
    if report.passed:
        return None
    if isinstance(report.longrepr, tuple):  # of a skip: file, line, reason
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(getattr(crash, "message", report.longrepr)).removeprefix("AssertionError: ")
    return " ".join(text.split("\n\n")[0].split())
