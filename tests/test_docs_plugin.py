"""The plugin that docs/writing-a-plugin.md writes is one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "writing-a-plugin.md"


@pytest.fixture(scope="module")
def stn_with_swirl(tmp_path_factory, install):
    folder = tmp_path_factory.mktemp("swirl")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (source,) = [block for block in blocks if "class Swirl(Transform)" in block]
    (metadata,) = re.findall(r'^swirl = "(.*)"$', PAGE.read_text(), re.MULTILINE)
    install(folder, "stn-swirl", "0.1.0", {"stn_lightning.transforms": {"swirl": metadata}}, {"stn_swirl": source})
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])

    def stn(*args):
        command = [sys.executable, "-m", "stn_lightning", *args]
        return subprocess.run(
            command, env={**os.environ, "PYTHONPATH": path}, cwd=folder, capture_output=True, text=True, timeout=250
        )

    return stn


def test_it_is_listed(stn_with_swirl):
    assert re.search(r"transform +swirl +stn-swirl +0.1.0 +Swirl: a rotation about", stn_with_swirl("plugins").stdout)


def test_it_passes_the_kit(stn_with_swirl):
    done = stn_with_swirl("check-plugin", "swirl", "--variant", '{"radius": 0.2}')
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_trains(stn_with_swirl):
    options = ["--model.transform=swirl", "--model.transform.radius=0.2", "--trainer.fast_dev_run=true"]
    done = stn_with_swirl("fit", *options, "--trainer.accelerator=cpu")
    assert done.returncode == 0, done.stderr
