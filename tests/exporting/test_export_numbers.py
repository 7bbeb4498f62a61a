"""Exported files give what the checkpoint gives, whatever the batch."""

import json

import pytest
import torch

from stn_lightning.exporting import export_task

TASKS = ["digits", "projective", "numbers", "parts", "backbone"]
CLOSE = {"rtol": 0, "atol": 1e-4}


def run(file, format, images):
    if format == "torch":
        return torch.export.load(file.open("rb")).module()(images)
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, map(torch.from_numpy, session.run(None, {"images": images.numpy()})), strict=True))


@pytest.mark.parametrize("format", ["torch", "onnx"])
@pytest.mark.parametrize("name", TASKS)
def test_file_gives_what_the_checkpoint_gives(task, exported, images, name, format):
    one, file = task(name), exported(name, format)
    for batch in (1, 3, 7):
        x = images(one.network.input_shape, batch)
        with torch.no_grad():
            expected = one(x)
            found = run(file, format, x)
        torch.testing.assert_close(found.pop("prediction"), expected.prediction, **CLOSE)
        thetas = {f"theta.{name}": warp.theta for name, warp in expected.warps.items()}
        assert list(found) == list(thetas)
        for name, theta in thetas.items():
            torch.testing.assert_close(found[name], theta, **CLOSE)
            assert (theta - theta[:1]).abs().max() > 1e-4 or batch == 1  # it depends on the image


def test_standardisation_is_in_the_file(task, exported, images):
    x = images((3, 24, 24), 2)
    mean, std = torch.tensor([0.3, 0.4, 0.5]).view(3, 1, 1), torch.tensor([0.2, 0.1, 0.3]).view(3, 1, 1)
    with torch.no_grad():
        expected = task("numbers").network((x - mean) / std).prediction
        found = run(exported("numbers", "torch"), "torch", x)["prediction"]
    torch.testing.assert_close(found, expected, **CLOSE)


def test_theta_comes_out_only_where_asked_for(task, images, tmp_path):
    one = task("digits")
    done = export_task(one, tmp_path / "it.pt2", "torch", images((1, 20, 22), 8))
    assert done.outputs == {"prediction": (3,)}
    assert list(run(tmp_path / "it.pt2", "torch", images((1, 20, 22), 2))) == ["prediction"]


@pytest.mark.parametrize(("name", "names"), [("parts", ["crow", "wren", "täubchen"]), ("numbers", [*"0123456789", ""])])
def test_names_of_the_classes_are_in_the_files(exported, name, names):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(exported(name, "onnx"))
    said = {"description.json": ""}
    torch.export.load(exported(name, "torch").open("rb"), extra_files=said)
    for description in ({entry.key: entry.value for entry in model.metadata_props}, json.loads(said["description.json"])):
        assert json.loads(description["class_names"]) == names
        assert "[0, 1]" in description["images"]
        assert "logits" in description["prediction"]


def test_onnx_is_of_opset_20_with_a_batch_of_any_number(exported):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(exported("digits", "onnx"))
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 20)]
    for value in [*model.graph.input, *model.graph.output]:
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"


@pytest.mark.parametrize("format", ["torch", "onnx"])
def test_no_path_of_this_machine_is_in_the_file(exported, format):
    from stn_lightning import exporting

    contents = exported("digits", format).read_bytes()
    assert str(exporting.__path__[0]).rpartition("/stn_lightning")[0].encode() not in contents
    assert b"site-packages" not in contents


def test_what_cannot_be_exported_is_said_in_one_line(images, tmp_path):
    from stn_lightning.tasks import Classification

    class Fickle(Classification):
        def forward(self, images):
            return super().forward(images if images.sum() > 0 else -images)

    with pytest.raises(ValueError, match=r"^Fickle cannot be exported to torch: [^\n]+$"):
        export_task(Fickle((1, 28, 28), 10), tmp_path / "it.pt2", "torch", images((1, 28, 28), 2))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("format", "shape", "words"), [("tf", (1, 28, 28), "torch, onnx"), ("torch", (1, 9, 9), "28, 28")])
def test_wrong_argument_is_named(images, tmp_path, format, shape, words):
    from stn_lightning.tasks import Classification

    with pytest.raises(ValueError, match=words):
        export_task(Classification((1, 28, 28), 10), tmp_path / "it", format, images(shape, 2))
