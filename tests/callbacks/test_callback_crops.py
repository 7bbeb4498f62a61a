"""The parts that ``stn predict`` cuts out of images, read back from their files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule
from PIL import Image

from stn_lightning import ParallelSpatialTransformers
from stn_lightning.callbacks import PredictionPictures
from stn_lightning.data import Named
from stn_lightning.localisations import registry as localisations
from stn_lightning.networks import Output
from stn_lightning.samplers import Bilinear
from stn_lightning.transforms import Translation

SIDE, GAP, LINE, FRAME = 216, 4, 20, 3
CELL = SIDE + GAP
CORNERS = ((3, 8), (29, 0), (0, 32), (32, 30))  # left and top of windows of 32 pixels


def read(file):
    return np.asarray(Image.open(file))


def names(folder):
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def photographs(tmp_path):
    """A folder of two photographs of 64 pixels, and what they show: nothing that a bicubic kernel takes beyond 0 or 255."""
    folder, draw = tmp_path / "photographs", np.random.default_rng(1)
    folder.mkdir()
    shown = {name: draw.integers(80, 176, (64, 64, 3), np.uint8) for name in ("wren", "owl")}
    for name, pixels in shown.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder, shown


@pytest.fixture
def predict(stn, newest_run, tmp_path, photographs):
    """``stn predict`` of the photographs with windows at corners; the folder of its run."""

    def predict(thetas, *options):
        data = ["--data=Birds", f"--data.root={tmp_path}", "--data.size=64", "--data.resize=64", "--data.classes=2"]
        data += ["--data.images_per_class=[8,4]", "--data.num_workers=0", f"--data.images={photographs[0]}"]
        model = ["--model=PartsClassification", f"--model.num_parts={len(thetas)}", f"--model.initial={thetas}"]
        done = stn("predict", *data, *model, *options)
        assert done.code == 0, done.err
        return done, newest_run(tmp_path / "runs")

    return predict


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_crop_is_the_slice_of_the_image(predict, photographs, placed, tmp_path, count, align_corners):
    corners = CORNERS[:count]
    scale = ["--model.transform=translation", "--model.transform.scale=0.49206349206349204", "--model.align_corners=true"]
    done, run = predict(placed(corners, align_corners), *(scale if align_corners else []))
    assert names(run / "pictures") == ["owl.png", "wren.png"]
    assert names(run / "crops") == sorted(f"{name}_{k + 1}.png" for name in ("owl", "wren") for k in range(count))
    for kind in ("pictures", "crops"):
        assert f"{kind}: {run.relative_to(tmp_path) / kind}" in done.out
    for name, image in photographs[1].items():
        for k, (x, y) in enumerate(corners, 1):
            assert np.array_equal(read(run / "crops" / f"{name}_{k}.png"), image[y : y + 32, x : x + 32])


def test_a_crop_is_black_outside_the_image(predict, photographs, placed):
    _, run = predict(placed([(-16, 40)]))
    for name, image in photographs[1].items():
        crop = read(run / "crops" / f"{name}_1.png")
        assert np.array_equal(crop[:24, 16:], image[40:, :16])
        assert (crop[24:] == 0).all()
        assert (crop[:, :16] == 0).all()


def test_a_crop_has_the_size_of_the_part(predict, photographs, placed):
    """Half as many pixels as the window: the mean of each four, as Pillow reduces an image."""
    _, run = predict(placed(CORNERS[:1]), "--model.part_size=16")
    (x, y), image = CORNERS[0], photographs[1]["owl"]
    expected = np.asarray(Image.fromarray(image[y : y + 32, x : x + 32]).reduce(2)).astype(int)
    assert np.abs(read(run / "crops" / "owl_1.png") - expected).max() <= 1


@pytest.mark.parametrize("count", [1, 4])
def test_the_picture_has_the_windows_and_framed_parts_in_the_colours_of_its_legend(
    predict, photographs, placed, colours_of_legend, count
):
    corners = CORNERS[:count]
    _, run = predict(placed(corners))
    picture, image = read(run / "pictures" / "owl.png"), Image.fromarray(photographs[1]["owl"])
    assert picture.shape == (LINE + CELL + LINE, (2 + count) * CELL, 3)
    cells = [picture[LINE + 2 : LINE + 2 + SIDE, i * CELL + 2 : i * CELL + 2 + SIDE] for i in range(2 + count)]
    colours = colours_of_legend(picture[-LINE:])
    assert len(colours) == count
    assert np.abs(cells[0] - resized(image, SIDE)).max() <= 2
    for (x, y), colour, part in zip(corners, colours, cells[2:], strict=True):
        middle = round((y + 16) * SIDE / 64)
        assert (cells[1][middle, round(x * SIDE / 64) + 1] == colour).all()  # its left side is hidden by no other
        frame = np.ones((SIDE, SIDE), bool)
        frame[FRAME:-FRAME, FRAME:-FRAME] = False
        assert (part[frame] == colour).all()
        inside = resized(image.crop((x, y, x + 32, y + 32)), SIDE - 2 * FRAME, Image.Resampling.NEAREST)
        same = (part[FRAME:-FRAME, FRAME:-FRAME] == inside).all(-1)
        assert same.mean() > 0.98  # two of 210 rows and columns lie as near to one pixel as to the next


def resized(image, side, how=Image.Resampling.BICUBIC):
    return np.asarray(image.resize((side, side), how)).astype(int)


class Grey(LightningModule):
    """Two windows in grey images."""

    def __init__(self, thetas):
        super().__init__()
        net = localisations["fc"]((1, 64, 64), torch.tensor(thetas))
        self.transformers = ParallelSpatialTransformers(net, Translation(scale=0.5), Bilinear(), (32, 32))

    def forward(self, images):
        warps = self.transformers((images - 0.5) / 0.2)
        return Output(images.mean((1, 2, 3)), {f"input.{k}": warp for k, warp in enumerate(warps, 1)})

    def predict_step(self, batch, batch_idx):
        images = batch.image if isinstance(batch, Named) else batch
        return {**({"file": batch.name} if isinstance(batch, Named) else {}), "value": self(images).prediction}


@pytest.fixture
def grey(trainer, loader, placed, tmp_path):
    """``predict`` of grey images: the folder of the run."""

    def grey(batches, **options):
        trainer(PredictionPictures(side=48, **options)).predict(Grey(placed(CORNERS[:2])), loader(batches))
        return tmp_path / "version_0"

    return grey


def noise(count):
    return torch.randint(0, 256, (count, 1, 64, 64), generator=torch.Generator().manual_seed(2)) / 255


def test_grey_images_have_grey_crops_and_coloured_windows(grey):
    images = noise(2)
    run = grey([images])
    for i, image in enumerate((images[:, 0] * 255).round().byte().numpy()):
        for k, (x, y) in enumerate(CORNERS[:2], 1):
            file = run / "crops" / f"{i}_{k}.png"
            assert Image.open(file).mode == "L"
            assert np.array_equal(read(file), image[y : y + 32, x : x + 32])
        assert np.ptp(read(run / "pictures" / f"{i}.png").astype(int), axis=-1).max() > 100


def test_names_of_crops_are_unique_as_those_of_pictures_are(grey):
    images = noise(3)
    run = grey([Named(images, ["a/1.png", "1_1.png", "b/1.png"])])
    assert names(run / "pictures") == ["1.png", "1_1.png", "1_2.png"]
    for i, name in enumerate(("1", "1_1", "1_2")):
        for k, (x, y) in enumerate(CORNERS[:2], 1):
            expected = (images[i, 0] * 255).round().byte().numpy()[y : y + 32, x : x + 32]
            assert np.array_equal(read(run / "crops" / f"{name}_{k}.png"), expected)
    assert len(names(run / "crops")) == 6


def test_only_the_first_images_are_cut(grey):
    images = noise(5)
    run = grey([images[:2], images[2:4], images[4:]], num_images=3)
    assert names(run / "pictures") == ["0.png", "1.png", "2.png"]
    assert names(run / "crops") == [f"{i}_{k}.png" for i in range(3) for k in (1, 2)]


def test_transformers_in_a_row_leave_what_their_product_samples(reader, window, numbers, trainer, loader, tmp_path):
    """The oracle is OpenCV's warpAffine by both matrices."""
    import cv2

    images = numbers(2)[0]
    task = reader(input=window(scale=0.8), conv1=window(30, 0.9))
    trainer(PredictionPictures()).predict(task, loader([images]))
    run = Path(tmp_path / "version_0")
    assert names(run / "pictures") == names(run / "crops") == ["0.png", "1.png"]
    angle, half = np.deg2rad(30), np.array(images.shape[3:1:-1]) / 2
    turn = 0.8 * 0.9 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for i, image in enumerate(images):
        crop = read(run / "crops" / f"{i}.png").astype(float)
        size = np.array(crop.shape[1::-1])
        linear = turn * half[:, None] / (size / 2)
        matrix = np.concatenate([linear, (half - 0.5 - linear @ (size / 2 - 0.5))[:, None]], 1)
        pixels = np.ascontiguousarray(255 * image.permute(1, 2, 0).numpy())
        expected = cv2.warpAffine(pixels, matrix, size.tolist(), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        assert expected.std() > 10
        assert np.abs(crop - expected.reshape(crop.shape)).max() <= 1


def test_without_parts_there_are_neither(stn, newest_run, tmp_path, photographs):
    data = ["--data=Birds", f"--data.root={tmp_path}", "--data.size=64", "--data.classes=2", "--data.images_per_class=[8,4]"]
    done = stn("predict", *data, "--data.num_workers=0", "--model=PartsClassification", "--model.num_parts=0")
    assert done.code == 0, done.err
    assert not list(newest_run(tmp_path / "runs").rglob("*.png"))
