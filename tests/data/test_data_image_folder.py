"""ImageFolderData, on folders of small images."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from stn_lightning.data import ImageFolderData, Named

CLASSES, EACH = ("cat", "dog", "emu"), 10


def write_classes(folder, each=EACH, classes=CLASSES):
    """Images whose colour is their class; of several sizes, formats and modes."""
    draw = np.random.default_rng(0)
    for c, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(each):
            pixels = np.full((30 + 7 * (i % 3), 40 - 5 * (i % 2), 3), 40, np.uint8)
            pixels[:, :, c] = 200
            pixels[draw.integers(0, 20) :, :10] = 90
            mode = ("RGB", "L", "P", "RGBA")[i % 4]
            suffix = "png" if mode in ("P", "RGBA") else ("jpg", "bmp", "webp")[i % 3]
            Image.fromarray(pixels).convert(mode).save(folder / name / f"{i:02}.{suffix}")
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("photos") / "photos")


@pytest.fixture
def photos(tmp_path):
    return write_classes(tmp_path / "photos")


def ready(root, **options):
    data = ImageFolderData(str(root), **{"size": 16, "batch_size": 4, "num_workers": 0, **options})
    data.prepare_data()
    data.setup()
    return data


def whole(data, loader):
    images, targets = zip(*(data.on_after_batch_transfer(batch, 0) for batch in loader), strict=True)
    return torch.cat(images), torch.cat(targets)


def test_classes_are_found_by_themselves(written):
    data = ImageFolderData(str(written))
    assert (data.num_classes, data.class_names, data.input_shape) == (3, list(CLASSES), (3, 64, 64))
    assert data.class_names == ImageFolder(written).classes


def test_files_and_targets_are_torchvision_s(written):
    data = ready(written)
    pairs = {pair for files in data._sets.values() for pair in zip(files.files, files.targets.tolist(), strict=True)}
    assert pairs == set(ImageFolder(written).samples)
    assert sum(len(files.files) for files in data._sets.values()) == len(pairs)


def test_what_has_no_folder_is_held_out_class_by_class(written):
    data = ready(written, validation_fraction=0.2, test_fraction=0.1)
    shares = {split: torch.bincount(files.targets).tolist() for split, files in data._sets.items()}
    assert shares == {"val": [2, 2, 2], "test": [1, 1, 1], "train": [7, 7, 7]}
    assert ready(written, evaluation_seed=1)._sets["test"].files != data._sets["test"].files


def test_folders_of_splits_are_taken_as_they_are(tmp_path):
    for split, each in (("train", 5), ("val", 2), ("test", 3)):
        write_classes(tmp_path / split, each)
    data = ready(tmp_path)
    assert {split: len(files.files) for split, files in data._sets.items()} == {"train": 15, "val": 6, "test": 9}
    assert all(f"/{split}/" in file for split, files in data._sets.items() for file in files.files)
    shutil.rmtree(tmp_path / "test")
    assert {split: len(files.files) for split, files in ready(tmp_path)._sets.items()} == {"train": 13, "val": 6, "test": 2}


@pytest.mark.parametrize("channels", [1, 3])
def test_images_have_the_channels_and_size_asked_for(written, channels):
    data = ready(written, channels=channels)
    images, targets = whole(data, data.train_dataloader())
    assert images.shape[1:] == data.input_shape == (channels, 16, 16)
    assert (images.dtype, targets.dtype) == (torch.float32, torch.int64)
    assert [len(part) for part in data.statistics] == [channels, channels]
    assert 0 < images.min() < images.max() < 1


def test_colour_says_the_class(tmp_path):
    root = write_classes(tmp_path / "photos", each=6)
    for file in root.rglob("*"):
        if file.is_file() and int(file.stem) % 4 == 1:  # grey
            file.unlink()
    data = ready(root, validation_fraction=0.2, test_fraction=0.2)
    images, targets = whole(data, data.test_dataloader())
    assert torch.equal(images.mean((2, 3)).argmax(1), targets)


def test_augmentation_can_be_switched_off(written):
    data = ready(written, random_crop=False, flip=False, batch_size=1)
    loader = data.train_dataloader()
    epochs = []
    for number in range(2):
        loader.order.set_epoch(number)
        images, _ = whole(data, loader)
        epochs.append({image.numpy().tobytes() for image in images})
    assert epochs[0] == epochs[1]


def test_workers_make_what_the_main_process_makes(written):
    expected, data = ready(written, seed=4), ready(written, seed=4, num_workers=2)
    one, other = (whole(d, d.train_dataloader()) for d in (expected, data))
    data.teardown("fit")
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])


def test_test_images_or_a_folder_are_predicted(written):
    data = ready(written)
    batch = next(iter(data.predict_dataloader()))
    assert isinstance(batch, Named)
    assert [name.split("/")[0] for name in batch.name] == list(CLASSES)
    data = ready(written, images=str(written / "dog"), batch_size=20)
    (batch,) = data.predict_dataloader()
    assert batch.name == sorted(file.name for file in (written / "dog").iterdir())


def test_hidden_files_and_folders_are_none(photos):
    (photos / ".thumbnails").mkdir()
    (photos / "cat" / "._00.jpg").write_bytes(b"resource fork")
    (photos / "cat" / "notes.txt").write_text("no image")
    data = ready(photos)
    assert data.num_classes == 3
    assert sum(len(files.files) for files in data._sets.values()) == 3 * EACH


def test_empty_class_folder_is_named(photos):
    (photos / "fox").mkdir()
    (photos / "fox" / "notes.txt").write_text("no image")
    with pytest.raises(FileNotFoundError, match=r"no images in .*photos/fox: expected files \.png"):
        ready(photos)


def test_folder_without_class_folders_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no class folder in {tmp_path}"):
        ready(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no folder .*absent"):
        ready(tmp_path / "absent")


def test_class_that_training_has_not_is_named(tmp_path):
    write_classes(tmp_path / "train")
    write_classes(tmp_path / "val", classes=("cat", "yak"))
    with pytest.raises(ValueError, match=r"val: expected the classes of training, cat, dog, emu; got yak"):
        ready(tmp_path)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_unreadable_file_is_named(photos, num_workers):
    for file in (photos / "dog").iterdir():
        file.write_bytes(file.read_bytes()[:40])
    data = ready(photos, num_workers=num_workers)
    with pytest.raises(ValueError, match=r"photos/dog/\d\d\.\w+ is not an image that can be read"):
        list(data.train_dataloader())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"channels": 2}, r"channels 1 \(grey\) or 3, got 2"),
        ({"validation_fraction": 0.0}, "above 0"),
        ({"validation_fraction": 0.5, "test_fraction": 0.5}, "together below 1"),
        ({"size": 30, "resize": 20}, "expected size <= resize"),
    ],
)
def test_arguments_out_of_range_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        ImageFolderData("photos", **options)


def test_one_command_line_trains_on_a_folder(written, stn):
    done = stn(
        "fit", "--data=ImageFolderData", f"--data.root={written}", "--data.size=32", "--data.num_workers=1",
        "--data.batch_size=8", "--model.transform=affine", "--trainer.max_steps=2", "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false",
    )  # fmt: skip
    assert done.code == 0, done.err


def test_one_line_says_which_file_is_damaged(photos, stn):
    for file in (photos / "dog").iterdir():
        file.write_bytes(file.read_bytes()[:40])
    done = stn(
        "fit", "--data=ImageFolderData", f"--data.root={photos}", "--data.size=32", "--data.num_workers=1",
        "--data.batch_size=8", "--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false",
    )  # fmt: skip
    assert "photos/dog/" in done.message


def test_class_without_an_image_to_train_on_is_named(tmp_path):
    root = write_classes(tmp_path / "rare", 20, CLASSES[:2])
    for file in sorted((root / "dog").iterdir())[1:]:
        file.unlink()
    with pytest.raises(ValueError, match="expected more images of dog: all are held out"):
        ready(root, validation_fraction=0.4, test_fraction=0.4)


@pytest.mark.parametrize("name", ["valid", "Train", "testing"])
def test_folder_that_looks_like_a_split_is_refused(photos, name):
    shutil.copytree(photos / "cat", photos / name)
    with pytest.raises(ValueError, match=f"expected folders of splits named train, val, test; got {name}"):
        ready(photos)


def test_one_class_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected at least two class folders, got 'cat' alone"):
        ready(write_classes(tmp_path / "photos", 4, ["cat"]))


@pytest.mark.parametrize("task", [["--model.network=FCN", "--model.network.width=4"], ["--model=PartsClassification"]])
@pytest.mark.parametrize("channels", [1, 3])
def test_checkpoint_is_tested_predicted_with_resumed_and_refuses_other_classes(photos, stn, tmp_path, task, channels):
    data = ["--data=ImageFolderData", f"--data.root={photos}", "--data.size=32", "--data.batch_size=4", "--data.num_workers=0"]
    options = [*data, f"--data.channels={channels}", *task, "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
    assert stn("fit", *options, "--trainer.max_epochs=1").code == 0
    assert stn("test", *options, "--ckpt_path=last").code == 0
    assert stn("predict", *options, f"--data.images={photos / 'dog'}", "--ckpt_path=last").code == 0
    (table,) = tmp_path.rglob("predictions.csv")
    header, *rows = table.read_text().splitlines()
    assert header == "file,class,confidence"
    assert len(rows) == EACH
    assert {row.split(",")[1] for row in rows} <= set(CLASSES)
    assert stn("fit", *options, "--trainer.max_epochs=2", "--ckpt_path=last").code == 0
    (photos / "dog").rename(photos / "fox")
    assert "class 1 is 'emu' in the data, was 'dog'" in stn("test", *options, "--ckpt_path=last").message
