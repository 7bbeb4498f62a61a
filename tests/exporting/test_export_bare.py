"""Exported files run where neither this package nor Lightning is installed: in a Python that has nothing else."""

import json
import subprocess
from textwrap import dedent

import pytest
import torch

ABSENT = "from importlib.util import find_spec; assert not [n for n in {!r} if find_spec(n)]\n"
OURS = ["stn_lightning", "lightning", "pytorch_lightning", "torchvision", "torchmetrics", "jsonargparse"]


def run(arguments, script, absent):
    code = ABSENT.format(absent) + dedent(script)
    done = subprocess.run(arguments, input=code, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return torch.tensor(json.loads(done.stdout))


@pytest.fixture
def case(task, images):
    """Images of house numbers, and what the checkpoint makes of them."""
    x = images((3, 24, 24), 4)
    with torch.no_grad():
        return x, task("numbers")(x).prediction


def test_onnx_runs_with_onnxruntime_and_numpy_alone(exported, bare, case, tmp_path):
    pytest.importorskip("onnxruntime")
    import numpy as np

    x, expected = case
    np.save(tmp_path / "x.npy", x.numpy())
    script = f"""
        import json, numpy, onnxruntime
        session = onnxruntime.InferenceSession({str(exported("numbers", "onnx"))!r}, providers=["CPUExecutionProvider"])
        (found,) = session.run(["prediction"], {{"images": numpy.load({str(tmp_path / "x.npy")!r})}})
        print(json.dumps(found.tolist()))
    """
    found = run(bare("numpy", "numpy.libs", "onnxruntime", required=False), script, [*OURS, "torch", "onnx", "onnxscript"])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_program_runs_with_torch_alone(exported, bare, case, tmp_path):
    x, expected = case
    torch.save(x, tmp_path / "x.pt")
    script = f"""
        import json, torch
        program = torch.export.load(open({str(exported("numbers", "torch"))!r}, "rb")).module()
        with torch.no_grad():
            print(json.dumps(program(torch.load({str(tmp_path / "x.pt")!r}))["prediction"].tolist()))
    """
    found = run(bare("torch", "numpy"), script, [*OURS, "onnx", "onnxruntime"])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
