"""MNIST in its true format, whole and in every broken state."""

import gzip
import shutil
import struct

import numpy as np
import pytest
import torch

from stn_lightning.data import DistortedDigits

NAMES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


def ready(root, **options):
    data = DistortedDigits("mnist", root=str(root), distortion="none", **options)
    data.prepare_data()
    data.setup()
    return data


@pytest.fixture
def root(tiny_mnist, tmp_path):
    return shutil.copytree(tiny_mnist, tmp_path / "data")


def test_files_are_read_as_they_were_written(root):
    data = ready(root, num_validation=16, batch_size=8)
    raw = (root / "MNIST" / "raw" / "t10k-images-idx3-ubyte").read_bytes()
    written = np.frombuffer(raw, np.uint8, offset=16).reshape(25, 1, 28, 28)
    test = data._sets["test"]
    assert torch.equal(test.images, torch.from_numpy(written.copy()))
    assert test.targets.tolist() == [i % 10 for i in range(25)]
    assert [len(data._sets[name].targets) for name in ("train", "validation")] == [80, 16]
    assert data.input_shape == (1, 28, 28)


@pytest.mark.parametrize("missing", [NAMES, NAMES[:1], NAMES[3:]], ids=["all", "train-images", "test-labels"])
def test_missing_file_says_where_it_was_looked_for_and_how_to_get_it(root, missing):
    for name in missing:
        (root / "MNIST" / "raw" / name).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        ready(root, num_validation=16)
    message = str(caught.value)
    assert str((root / "MNIST" / "raw").absolute()) in message
    assert all(name in message for name in missing)
    assert not any(name in message for name in NAMES if name not in missing)
    for way in ("--data.download=true", "--data.root", "--data.source=digits"):
        assert way in message


def break_file(file, how):
    content = file.read_bytes()
    file.write_bytes(
        {
            "empty": b"",
            "header": content[:6],
            "truncated": content[:-10],
            "half": content[: len(content) // 2],
            "longer": content + b"\0" * 784,
            "magic": b"\x1f\x8b\x08\x00" + content[4:],
            "packed": gzip.compress(content),
            "html": b"<html><body>404 Not Found</body></html>",
            "int32": content[:2] + b"\x0c" + content[3:],
        }[how]
    )


@pytest.mark.parametrize("how", ["empty", "header", "truncated", "half", "longer", "magic", "packed", "html", "int32"])
@pytest.mark.parametrize("name", [NAMES[0], NAMES[3]])
def test_broken_file_is_named(root, name, how):
    file = root / "MNIST" / "raw" / name
    break_file(file, how)
    with pytest.raises(ValueError, match=name):
        ready(root, num_validation=16)


@pytest.mark.parametrize(
    ("name", "array", "text"),
    [
        (NAMES[0], np.zeros((96, 28, 27)), r"28x28 pixels, got \(28, 27\)"),
        (NAMES[0], np.zeros((96, 32, 32)), r"28x28 pixels, got \(32, 32\)"),
        (NAMES[0], np.zeros((95, 28, 28)), "a label for each image, got 95 .* 96"),
        (NAMES[1], np.zeros(97), "a label for each image, got 96 .* 97"),
        (NAMES[3], np.full(25, 10), "labels 0 to 9, got 10"),
        (NAMES[1], np.arange(96), "labels 0 to 9, got 95"),
        (NAMES[0], np.zeros((96, 784)), "train-images"),
        (NAMES[3], np.zeros((25, 1)), "t10k-labels"),
    ],
)
def test_file_with_other_content_is_named(root, write_idx, name, array, text):
    write_idx(root / "MNIST" / "raw" / name, array)
    with pytest.raises(ValueError, match=text) as caught:
        ready(root, num_validation=16)
    assert name in str(caught.value)


def test_empty_set_is_refused(root, write_idx):
    write_idx(root / "MNIST" / "raw" / NAMES[2], np.zeros((0, 28, 28)))
    write_idx(root / "MNIST" / "raw" / NAMES[3], np.zeros(0))
    with pytest.raises(ValueError, match="t10k"):
        ready(root, num_validation=16)


def test_validation_must_leave_something_to_train_on(root):
    with pytest.raises(ValueError, match="num_validation above 0 and below 96, got 5000"):
        ready(root)


def test_real_mnist(real_mnist):
    data = ready(real_mnist)
    train, validation, test = (data._sets[name] for name in ("train", "validation", "test"))
    assert [len(part.targets) for part in (train, validation, test)] == [55_000, 5_000, 10_000]
    assert test.targets[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert torch.bincount(test.targets).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    counts = torch.bincount(torch.cat([train.targets, validation.targets]))
    assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert train.images.dtype == torch.uint8
    ink = sum(int(part.images.sum(dtype=torch.int64)) for part in (train, validation))
    assert abs(ink / (60_000 * 784 * 255) - 0.1307) < 1e-4  # the published mean


def test_header_is_big_endian(root):
    """The header that the tests write is the published one."""
    raw = (root / "MNIST" / "raw" / NAMES[0]).read_bytes()
    assert struct.unpack(">4I", raw[:16]) == (2051, 96, 28, 28)
