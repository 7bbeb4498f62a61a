"""Generated house numbers: layouts like SVHN's, digits that fill their boxes, files that the reader reads."""

import gzip
import json
import os
import resource
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage, stats
from torch import zeros_like

from stn_lightning.data._drawn.drawing import draw_house_numbers
from stn_lightning.data._drawn.layouts import Layout, sample_layouts
from stn_lightning.data._drawn.scene import draw_house_number
from stn_lightning.data._sources import read_embedded_digits
from stn_lightning.data._svhn.digit_struct import Box, HouseNumber, read_digit_struct

ANNOTATIONS = Path(__file__).parents[3] / "shared" / "data" / "svhn" / "annotations.json.gz"


@pytest.fixture(scope="module")
def digits():
    return read_embedded_digits()["train"]


@pytest.fixture(scope="module")
def real_layouts():
    if not ANNOTATIONS.is_file():
        pytest.skip(f"needs SVHN's bounding boxes in {ANNOTATIONS}")
    with gzip.open(ANNOTATIONS) as file:
        rows = json.load(file)["train"]
    return [
        Layout(
            HouseNumber(name, tuple(Box(int(label) % 10, x0, y0, x1 - x0, y1 - y0) for label, x0, y0, x1, y1 in boxes)),
            (height, width),
        )
        for name, width, height, boxes in rows
    ]


@pytest.fixture(scope="module")
def sampled():
    return sample_layouts(10_000, 0)


def measures(layouts):
    """What layouts are compared by: a list of values over the images each."""
    found = {
        name: [] for name in ("height", "width", "digit height", "aspect", "left", "right", "top", "bottom", "gap", "rise")
    }
    for number, size in layouts:
        x, y, w, h = np.array([box[1:] for box in number.boxes], float).T
        unit = h.mean()
        values = (
            [size[0]],
            [size[1]],
            [unit],
            w / h,
            [x.min() / unit],
            [(size[1] - (x + w).max()) / unit],
            [y.min() / unit],
            [(size[0] - (y + h).max()) / unit],
            (x[1:] - (x + w)[:-1]) / unit,
            np.diff(y + h / 2) / unit,
        )
        for name, value in zip(found, values, strict=True):
            found[name].extend(value)
    return {name: np.array(values) for name, values in found.items()}


def test_layouts_are_as_svhns(real_layouts, sampled):
    """The largest difference of distribution functions; 10,000 samples of the same law would stay below 0.02."""
    real, ours = measures(real_layouts), measures(sampled)
    distances = {name: stats.ks_2samp(real[name], ours[name], method="asymp").statistic for name in real}
    assert max(distances.values()) < 0.08, distances
    correlation = lambda of: stats.spearmanr(
        np.stack([of[key] for key in ("height", "width", "digit height", "left", "top")], 1)
    )
    np.testing.assert_allclose(correlation(ours).statistic, correlation(real).statistic, atol=0.12)


def test_lengths_and_digits_are_as_often_as_in_svhn(real_layouts, sampled):
    for count in (
        lambda boxes: [min(len(boxes), 5)],
        lambda boxes: [boxes[0].digit],
        lambda boxes: [b.digit for b in boxes[1:]],
    ):
        real, ours = (
            np.bincount([value for number, _ in layouts for value in count(number.boxes)], minlength=10)
            for layouts in (real_layouts, sampled)
        )
        np.testing.assert_allclose(ours / ours.sum(), real / real.sum(), atol=0.02)  # four standard errors


def test_layouts_are_named_in_order_and_do_not_depend_on_their_number(sampled):
    assert sample_layouts(30, 0) == sampled[:30]
    assert [layout.number.name for layout in sampled[:3]] == ["1.png", "2.png", "3.png"]
    assert sample_layouts(30, 1) != sampled[:30]
    assert {len(layout.number.boxes) for layout in sampled} <= {1, 2, 3, 4, 5}
    with pytest.raises(ValueError, match="count -1"):
        sample_layouts(-1, 0)


def test_real_and_sampled_layouts_are_drawn_and_read_back(real_layouts, digits, tmp_path):
    odd = [x for x in real_layouts if len(x.number.boxes) > 5 or any(min(b.left, b.top) < 0 for b in x.number.boxes)]
    layouts = list({x.number.name: x for x in [*real_layouts[:60], *odd[:40]]}.values())
    draw_house_numbers(tmp_path / "train", layouts, digits, 0)
    assert read_digit_struct(tmp_path / "train" / "digitStruct.mat") == [layout.number for layout in layouts]
    assert len(list((tmp_path / "train").iterdir())) == len(layouts) + 1
    for number, (height, width) in layouts:
        with Image.open(tmp_path / "train" / number.name) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (width, height))
            image.load()


def test_impossible_places_are_drawn_as_far_as_they_are_seen(digits, tmp_path):
    boxes = [
        [Box(1, 2, 2, 1, 1)],
        [Box(3, -100, -100, 20, 20)],
        [Box(3, -10, -5, 200, 200)],
        [Box(3, 0, 0, 16e3, 16e3)],
        [Box(3, 16e3, 0, 5, 5), Box(4, -16e3, 3, 16e3, 20)],
        [Box(3, -5.5, 2.25, 10.7, 0.01)],
        [Box(digit, 4 * digit, 2, 5, 20) for digit in range(10)],
    ]
    layouts = [
        Layout(HouseNumber(f"{i}-{height}.png", tuple(at)), (height, width))
        for i, at in enumerate(boxes)
        for height, width in ((30, 40), (1, 1), (350, 741), (3, 900))
    ]
    draw_house_numbers(tmp_path / "odd", layouts, digits, 0)
    assert read_digit_struct(tmp_path / "odd" / "digitStruct.mat") == [layout.number for layout in layouts]


@pytest.mark.parametrize("box", [Box(8, 30.0, 20.0, 30.0, 50.0), Box(0, 60.0, 30.0, 24.0, 24.0)])
def test_a_digit_fills_its_box_and_nothing_else(digits, box):
    """Of many pictures with the digit and without it, the median difference says where the digit is."""
    layout = Layout(HouseNumber("1.png", (box,)), (90, 120))
    images = digits.images[digits.targets == box.digit, 0].numpy()
    differences = []
    for seed in range(120):
        with_it, without = (
            np.asarray(draw_house_number(layout, [ink], np.random.default_rng(seed)), float).mean(2)
            for ink in (images[seed], np.zeros_like(images[0]))
        )
        differences.append(np.abs(with_it - without))
    seen = np.mean(differences, 0) > 0.25 * np.quantile(np.mean(differences, 0), 0.99)
    rows, columns = ndimage.find_objects(ndimage.label(seen, np.ones((3, 3)))[0])[0]
    expected = (box.top, box.top + box.height, box.left, box.left + box.width)
    assert np.abs(np.subtract((rows.start, rows.stop, columns.start, columns.stop), expected)).max() <= 2


def test_digits_can_be_told_apart(digits):
    """A plain nearest-mean reader of the boxes, which chance would have right one time in ten."""
    layouts = [Layout(HouseNumber("1.png", (Box(i % 10, 20.0, 10.0, 24.0, 40.0),)), (60, 70)) for i in range(900)]
    draw = np.random.default_rng(0)
    of_class = [digits.images[digits.targets == digit, 0].numpy() for digit in range(10)]
    crops = []
    for i, layout in enumerate(layouts):
        image = draw_house_number(layout, [draw.choice(of_class[i % 10])], np.random.default_rng(i)).convert("L")
        crop = np.asarray(image.crop((20, 10, 44, 50)).resize((12, 20)), float).ravel()
        crops.append((crop - crop.mean()) / (crop.std() + 1e-6))
    crops, targets = np.array(crops), np.arange(900) % 10
    means = np.stack([np.linalg.svd(crops[:600][targets[:600] == digit])[2][0] for digit in range(10)])
    right = (np.abs(crops[600:] @ means.T).argmax(1) == targets[600:]).mean()  # either polarity
    assert right > 0.5


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_pictures_are_functions_of_layout_and_seed(digits, tmp_path):
    layouts = sample_layouts(6, 5)
    for name, some, seed in (("a", layouts, 1), ("b", layouts, 1), ("some", layouts[:3], 1), ("other", layouts, 2)):
        draw_house_numbers(tmp_path / name, some, digits, seed)
    first = files(tmp_path / "a")
    assert files(tmp_path / "b") == first
    assert all(first[name] == content for name, content in files(tmp_path / "some").items() if name != "digitStruct.mat")
    assert all(first[name] != content for name, content in files(tmp_path / "other").items() if name != "digitStruct.mat")


def test_what_cannot_be_drawn_is_refused_and_nothing_is_left(digits, tmp_path):
    (layout,) = sample_layouts(1, 0)
    (box, *_) = layout.number.boxes
    renamed = lambda name: layout._replace(number=layout.number._replace(name=name))
    none_of_it = digits._replace(
        images=digits.images[digits.targets != box.digit], targets=digits.targets[digits.targets != box.digit]
    )
    for layouts, of, seed, says in (
        ([], digits, 0, "at least one"),
        ([layout, layout], digits, 0, "different names"),
        ([renamed("../1.png")], digits, 0, r"layout 1 of 1 .*plain file name"),
        ([renamed("1.jpg")], digits, 0, r"layout 1 of 1 \('1\.jpg'\).*\.png"),
        ([layout._replace(size=(0, 5))], digits, 0, r"size of at least 1x1, got size \(0, 5\)"),
        ([layout], none_of_it, 0, rf"digits: .*none of .*{box.digit}"),
        ([layout], digits._replace(images=zeros_like(digits.images)), 0, "digits: .*every class"),
        ([layout], digits, -1, "seed"),
    ):
        with pytest.raises(ValueError, match=says):
            draw_house_numbers(tmp_path / "new", layouts, of, seed)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(ValueError, match="new or an empty folder"):
        draw_house_numbers(tmp_path, [layout], digits, 0)


def draw_on_a_full_disk(folder, digits):
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
    try:
        draw_house_numbers(folder, sample_layouts(20, 0), digits, 0)
    except (OSError, RuntimeError):
        os._exit(3)


def test_full_disk_leaves_no_folder(digits, tmp_path):
    process = get_context("fork").Process(target=draw_on_a_full_disk, args=(tmp_path / "new", digits))
    process.start()
    process.join()
    assert process.exitcode == 3
    assert list(tmp_path.iterdir()) == []
