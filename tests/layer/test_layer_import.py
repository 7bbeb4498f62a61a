"""The layer needs torch alone: a network must be usable in a plain PyTorch loop."""

import subprocess
import sys

import pytest

HEAVY = ["lightning", "pytorch_lightning", "torchvision", "torchmetrics", "jsonargparse", "tensorboard"]


@pytest.mark.parametrize("module", ["stn_lightning.spatial_transformer"])
def test_layer_imports_none_of_lightning(module):
    code = f"import sys, {module}; print(*({{m.split('.')[0] for m in sys.modules}} & {set(HEAVY)}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
