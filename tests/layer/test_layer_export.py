"""Exported layers hold the basis as a constant: no solve, and the numbers of eager."""

import pytest
import torch
from torch.export import Dim, export

SHAPE = (2, 6, 7)
LAYERS = [("affine", False), ("affine", True), ("projective", False), ("tps", False), ("tps", True)]
CLOSE = {"rtol": 0, "atol": 1e-6}  # the same operations on float32 numbers of magnitude 1


def exported(layer, x, strict):
    return export(layer, (x,), dynamic_shapes=({0: Dim("batch", min=1, max=64)},), strict=strict)


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("strict", [False, True], ids=["", "strict"])
@pytest.mark.parametrize(("transform", "learn"), LAYERS)
def test_exported_layer_gives_the_same_numbers_for_any_batch(make, transform, learn, strict, warm):
    layer = make(transform, learn=learn)
    x = torch.randn(3, *SHAPE)
    if warm:
        layer(x)
    program = exported(layer, x, strict)
    for batch in (3, 1, 7):
        x = torch.randn(batch, *SHAPE)
        for ours, theirs in zip(program.module()(x), layer(x), strict=True):
            torch.testing.assert_close(ours, theirs, **CLOSE)


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("strict", [False, True], ids=["", "strict"])
def test_graph_of_tps_builds_no_basis(make, strict, warm):
    layer, x = make("tps"), torch.randn(3, *SHAPE)
    if warm:
        layer(x)
    calls = [str(node.target) for node in exported(layer, x, strict).graph.nodes if node.op == "call_function"]
    assert any("grid_sampler" in call for call in calls)
    assert not [call for call in calls if any(word in call for word in ("solve", "inv", "log", "linalg", "meshgrid"))]


def test_export_leaves_the_layer_usable(make):
    layer, x = make("tps"), torch.randn(3, *SHAPE)
    expected = make("tps")(x).output
    exported(layer, x, strict=False)
    output = layer(x).output
    torch.testing.assert_close(output, expected, **CLOSE)
    output.sum().backward()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")  # of the exporter
@pytest.mark.parametrize("transform", ["affine", "projective", "tps"])
def test_onnxruntime_gives_the_same_numbers(make, transform, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    layer, x = make(transform), torch.randn(3, *SHAPE)
    path = str(tmp_path / "layer.onnx")
    torch.onnx.export(layer, (x,), path, dynamo=True, opset_version=20, dynamic_shapes=({0: Dim("batch")},), verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch in (3, 5):
        x = torch.randn(batch, *SHAPE)
        outputs = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        for ours, theirs in zip(outputs, layer(x), strict=True):
            torch.testing.assert_close(torch.from_numpy(ours), theirs.detach(), rtol=0, atol=1e-5)
