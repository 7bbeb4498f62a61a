"""Birds, on small sets in the published layout of CUB-200-2011."""

import hashlib
import multiprocessing
import shutil
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from PIL import Image
from torchvision.transforms import v2

from stn_lightning.data import Annotated, Birds, Named
from stn_lightning.data._by_class import hold_out_by_class
from stn_lightning.data._cub import published
from stn_lightning.data._cub.annotated import mirrored
from stn_lightning.data._cub.reading import read_birds
from stn_lightning.data._views import Framing, see

CLASSES, TRAIN, TEST = 3, 6, 2  # images of each class
PARTS = ["beak", "left eye", "right eye", "tail"]
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]
SMALL = {"size": 28, "batch_size": 4, "num_validation": 3, "num_workers": 0}


def write_cub(folder, sizes=((80, 60), (50, 75), (64, 64)), kind="RGB"):
    """The published layout: a dot of its own colour at each visible part, on black; the third part is never visible."""
    (folder / "parts").mkdir(parents=True)
    draw = np.random.default_rng(0)
    lists = {name: [] for name in ("images", "image_class_labels", "train_test_split", "bounding_boxes", "parts/part_locs")}
    number = 0
    for c in range(CLASSES):
        name = f"{c + 1:03}.Bird_{c}"
        (folder / "images" / name).mkdir(parents=True)
        for i in range(TRAIN + TEST):
            number += 1
            width, height = sizes[number % len(sizes)]
            pixels = np.zeros((height, width, 3), np.uint8)
            for part, colour in enumerate(COLOURS):
                x, y = int(draw.integers(4, width - 4)), int(draw.integers(4, height - 4))
                if part == 2:
                    lists["parts/part_locs"].append(f"{number} {part + 1} 0.0 0.0 0")
                    continue
                pixels[y - 2 : y + 2, x - 2 : x + 2] = colour  # its centre of mass is (x, y)
                lists["parts/part_locs"].append(f"{number} {part + 1} {x}.0 {y}.0 1")
            file = f"{name}/Bird_{i:04}.jpg"
            Image.fromarray(pixels).convert(kind).save(folder / "images" / file, quality=100, subsampling=0)
            lists["images"].append(f"{number} {file}")
            lists["image_class_labels"].append(f"{number} {c + 1}")
            lists["train_test_split"].append(f"{number} {int(i < TRAIN)}")
            lists["bounding_boxes"].append(f"{number} 10.0 5.0 {width - 20}.0 {height - 10}.0")
    lists["classes"] = [f"{c + 1} {c + 1:03}.Bird_{c}" for c in range(CLASSES)]
    lists["parts/parts"] = [f"{i + 1} {name}" for i, name in enumerate(PARTS)]
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("birds")
    write_cub(root / "CUB_200_2011")
    return root


@pytest.fixture
def root(written, tmp_path):
    """A root that a test may damage."""
    shutil.copytree(written, tmp_path / "data")
    return tmp_path / "data"


def ready(root, **options):
    data = Birds("cub", str(root), **{**SMALL, **options})
    data.prepare_data()
    data.setup()
    return data


def seen(data, loader):
    return [data.on_after_batch_transfer(batch, 0) for batch in loader]


def whole(batches):
    return Annotated(*(torch.cat(parts) for parts in zip(*batches, strict=True)))


def epoch(data, number, loader=None):
    loader = data.train_dataloader() if loader is None else loader
    if hasattr(loader, "order"):  # that of training has an order of every epoch's own
        loader.order.set_epoch(number)
    return whole(seen(data, loader))


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_lists_are_read_as_published(written):
    birds = read_birds(written / "CUB_200_2011")
    assert len(birds.names) == CLASSES * (TRAIN + TEST)
    assert birds.names[8] == "002.Bird_1/Bird_0000.jpg"
    assert birds.targets.tolist() == [0] * 8 + [1] * 8 + [2] * 8
    assert birds.training.tolist() == ([True] * 6 + [False] * 2) * 3
    assert birds.boxes[1].tolist() == [10, 5, 64 - 20, 64 - 10]
    assert birds.parts.shape == (24, 4, 3)
    assert birds.parts[:, 2].any() == False  # noqa: E712
    assert (birds.class_names, birds.part_names) == (["001.Bird_0", "002.Bird_1", "003.Bird_2"], PARTS)


def test_paper_s_arguments_are_the_defaults():
    data = Birds("cub")
    assert (data.input_shape, data.num_classes, data.framing.resize) == ((3, 224, 224), 200, 256)
    assert Birds(size=448).framing.resize == 512
    assert Birds(size=128).framing.resize == 146


def test_test_images_are_torchvision_s(written):
    data = ready(written, size=56)  # of an image above half its size, so that the JPEG is decoded in full
    batch = whole(seen(data, data.test_dataloader()))
    assert (batch.image.dtype, batch.target.dtype, batch.parts.dtype, batch.box.dtype) == (
        torch.float32,
        torch.int64,
        torch.float32,
        torch.float32,
    )
    birds = read_birds(written / "CUB_200_2011")
    oracle = v2.Compose([v2.Resize(64), v2.CenterCrop(56), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    for image, target, number in zip(batch.image, batch.target, np.flatnonzero(~birds.training), strict=True):
        with Image.open(birds.folder / "images" / birds.names[number]) as file:
            assert (image - oracle(file)).abs().max() <= 1.01 / 255  # rounding of Pillow's window
        assert target == birds.targets[number]


def centre_of(image, colour):
    """The centre of mass of a colour, normalised."""
    wanted = torch.tensor(colour, dtype=torch.float32)[:, None, None] / 255
    weight = (1 - (image - wanted).abs().sum(0) / 0.9).clamp(min=0)
    side = image.shape[-1]
    along = (2 * torch.arange(side) + 1) / side - 1
    total = weight.sum()
    return torch.stack([(weight.sum(0) * along).sum() / total, (weight.sum(1) * along).sum() / total]), total


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_dot_is_found_where_its_part_is_said_to_be(written, split):
    data = ready(written, size=56, seed=3, batch_size=3)
    loader = data.train_dataloader() if split == "train" else data.test_dataloader()
    found = hidden = mirrors = 0
    for number in range(6 if split == "train" else 1):
        batch = epoch(data, number, loader)
        for image, parts, _ in zip(batch.image, batch.parts, batch.box, strict=True):
            for name, colour, (x, y, visible) in zip(PARTS, COLOURS, parts, strict=True):
                if name.endswith("eye"):
                    continue
                if not visible:
                    assert (float(x), float(y)) == (0, 0)
                    hidden += 1
                elif max(abs(x), abs(y)) < 0.9:  # the whole dot is in the square
                    centre, total = centre_of(image, colour)
                    if total < 4:  # another dot lies on it
                        continue
                    assert (centre - torch.stack([x, y])).abs().max() < 2 * 1.0 / 56
                    found += 1
            # the left eye alone is annotated: in a mirror it is the right one
            assert parts[1, 2] + parts[2, 2] <= 1
            mirrors += int(parts[2, 2])
    assert found > 5
    if split == "train":
        assert hidden > 3
        assert mirrors > 10
    else:
        assert mirrors == 0


def test_training_without_crop_and_flip_sees_what_evaluation_sees(written):
    data = ready(written, size=56, seed=3, batch_size=3, random_crop=False, flip=False)
    batch = epoch(data, 0)
    order = [ask.item for asks in data.train_dataloader().asks for ask in asks]
    data._chosen["test"] = data._chosen["train"][order]
    assert equal(batch, whole(seen(data, data.test_dataloader())))
    assert len(order) == 15


@pytest.mark.parametrize("off", ["random_crop", "flip"])
def test_crop_and_flip_are_switched_off_one_by_one(written, off):
    data = ready(written, size=56, seed=3, batch_size=3, **{off: False})
    loader = data.train_dataloader()
    first = {}
    same = mirrors = 0
    for number in range(5):
        batch = epoch(data, number, loader)
        asks = [ask for asks in loader.asks for ask in asks]
        for ask, image in zip(asks, batch.image, strict=True):
            before = first.setdefault(ask.item, image)
            same += torch.equal(image, before)
            mirrors += torch.equal(image.flip(2), before)
    assert (mirrors > 10) == (off == "random_crop")
    assert (same + mirrors == 5 * 15) == (off == "random_crop")


def test_eye_of_a_mirrored_bird_is_the_other_one(written):
    data = ready(written, size=56, seed=3, batch_size=3)
    checked = 0
    for number in range(4):
        batch = epoch(data, number)
        for image, parts in zip(batch.image, batch.parts, strict=True):
            x, y, visible = parts[2]
            if visible and max(abs(x), abs(y)) < 0.9:
                centre, total = centre_of(image, COLOURS[1])
                if total >= 4:
                    assert (centre - parts[2, :2]).abs().max() < 2 / 56
                    checked += 1
    assert checked > 5


def test_mirror_swaps_the_published_sides():
    names = ["back", "left eye", "left leg", "left wing", "nape", "right eye", "right leg", "right wing"]
    assert [names[i] for i in mirrored(names)] == [
        "back",
        "right eye",
        "right leg",
        "right wing",
        "nape",
        "left eye",
        "left leg",
        "left wing",
    ]
    assert mirrored(["left horn", "tail"]) == [0, 1]


def test_box_of_the_image_follows_square_and_mirror(written):
    """The box is the image less 10 and 5 pixels a side: mirrored or not, its middle is the image's."""
    data = ready(written, size=32, resize=32, seed=1, batch_size=3)
    for number in range(3):
        left, top, right, bottom = epoch(data, number).box.double().unbind(1)
        assert (left < right).all()
        assert (top < bottom).all()
        # a 64x64 image is all in the square; 80x60 becomes 42x32, 50x75 becomes 32x48
        expected = torch.tensor(
            [
                [2 * (64 - 20) / 64, 2 * (64 - 10) / 64],
                [2 * 60 / 80 * 42 / 32, 2 * 50 / 60],
                [2 * 30 / 50, 2 * 65 / 75 * 48 / 32],
            ]
        )
        sizes = torch.stack([right - left, bottom - top], 1)
        assert (torch.cdist(sizes, expected.double()).min(1).values < 1e-6).all()
        square = (sizes - expected[0]).abs().amax(1) < 1e-6
        assert (left + right)[square].abs().max() < 1e-6


def test_point_outside_the_square_is_not_visible(written):
    data = ready(written, size=20, resize=60, batch_size=3)
    batch = whole(seen(data, data.test_dataloader()))
    assert 0 < batch.parts[:, :, 2].sum() < 3 * len(batch.parts)
    assert batch.parts[batch.parts[:, :, 2] == 0].abs().sum() == 0
    assert batch.parts.abs().max() <= 1


def test_validation_is_held_out_class_by_class(written):
    data = ready(written)
    other = ready(written, evaluation_seed=1)
    targets = whole(seen(data, data.val_dataloader())).target
    assert targets.tolist() == [0, 1, 2]
    chosen = [set(data._chosen[split].tolist()) for split in ("train", "validation", "test")]
    assert sum(map(len, chosen)) == 24 == len(set.union(*chosen))
    assert set(other._chosen["validation"].tolist()) != chosen[1]


@pytest.mark.parametrize(("sizes", "count"), [((10, 10, 10, 10), 12), ((1, 30, 5, 64), 20), ((2, 2, 2), 2)])
def test_each_class_gives_its_share(sizes, count):
    targets = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    held_out, kept = hold_out_by_class(targets, [count], 0)
    assert torch.equal(torch.cat([held_out, kept]).sort().values, torch.arange(len(targets)))
    assert len(held_out) == count
    shares = torch.bincount(targets[held_out], minlength=len(sizes)) - count * torch.tensor(sizes) / sum(sizes)
    assert shares.abs().max() <= 1
    assert (torch.bincount(targets[kept], minlength=len(sizes)) > 0).all()


def test_image_is_a_function_of_seed_epoch_and_index(written):
    data = ready(written, seed=5)
    one, again = epoch(data, 2), epoch(ready(written, seed=5), 2)
    assert equal(one, again)
    assert not equal(one, epoch(data, 3))
    assert not equal(one, epoch(ready(written, seed=6), 2))


def test_workers_make_what_the_main_process_makes(written):
    """Epoch after epoch, with workers that stay."""
    expected = ready(written, seed=5)
    data = ready(written, seed=5, num_workers=2)
    loader, started = data.train_dataloader(), None
    for number in (0, 1, 4):
        assert equal(epoch(data, number, loader), epoch(expected, number))
        workers = {process.pid for process in multiprocessing.active_children()}
        assert len(workers) == 2
        assert started in (None, workers)
        started = workers
    data.teardown("fit")
    assert multiprocessing.active_children() == []


def test_epoch_that_is_given_up_leaves_nothing_behind(written):
    data, expected = ready(written, num_workers=1), ready(written)
    loader = data.train_dataloader()
    next(iter(loader))
    assert equal(epoch(data, 1, loader), epoch(expected, 1))
    running = iter(loader)
    next(running)
    data.teardown("fit")
    assert multiprocessing.active_children() == []
    assert list(running) == []


def test_processes_share_the_images(written):
    def of(rank):
        data = ready(written, num_validation=3, batch_size=2)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=2)
        return [whole(seen(data, loader)).target.tolist() for loader in (data.train_dataloader(), data.test_dataloader())]

    (train, test), (other_train, other_test) = of(0), of(1)
    assert (len(train), len(other_train)) == (6, 6)
    assert sorted(test + other_test) == [0, 0, 1, 1, 2, 2]


def test_too_few_images_for_a_batch_are_refused(written):
    with pytest.raises(ValueError, match=r"at least 99 training images .*, got 15"):
        ready(written, batch_size=99).train_dataloader()


def test_grey_image_becomes_three_equal_channels(tmp_path):
    write_cub(tmp_path / "CUB_200_2011", kind="L")
    image = epoch(ready(tmp_path), 0).image
    assert image.shape[1] == 3
    assert torch.equal(image[:, 0], image[:, 1])
    assert image.std() > 0


def test_large_jpeg_is_decoded_small_and_points_stay(tmp_path):
    """At an eighth of its resolution, of a size that 8 does not divide."""
    pixels = np.zeros((1001, 1203, 3), np.uint8)
    pixels[480:520, 580:620] = 255
    Image.fromarray(pixels).save(tmp_path / "large.jpg", quality=95)
    with Image.open(tmp_path / "large.jpg") as image:
        square, view = see(image, Framing(64, 64), None)
        assert image.size == (151, 126)
    centre, _ = centre_of(torch.from_numpy(square).float() / 255, (255, 255, 255))
    assert (centre - torch.from_numpy(view.normalised(np.array([600.0, 500.0])))).abs().max() < 0.2 / 64
    assert centre.abs().max() < 0.01


# -- damage


def edit(file, line, text):
    lines = file.read_text().splitlines()
    lines[line - 1] = text
    file.write_text("\n".join(line for line in lines if line is not None) + "\n")


DAMAGE = {
    "list missing": ("bounding_boxes.txt", None, None, FileNotFoundError, r"no .*bounding_boxes\.txt, which is part of"),
    "parts missing": ("parts/part_locs.txt", None, None, FileNotFoundError, r"no .*parts/part_locs\.txt"),
    "unknown id in split": ("train_test_split.txt", 3, "99 1", ValueError, r"train_test_split\.txt:3: id 99 is not in images"),
    "split of 2": (
        "train_test_split.txt",
        4,
        "4 2",
        ValueError,
        r"split\.txt:4: expected whether .* 1 or 0, got '2'",
    ),
    "class 0": ("image_class_labels.txt", 2, "2 0", ValueError, r"image_class_labels\.txt:2: expected an id.*got '0'"),
    "class 4": (
        "image_class_labels.txt",
        2,
        "2 4",
        ValueError,
        r"labels\.txt:2: expected a class .*, 1 to 3, got 4",
    ),
    "class a": ("image_class_labels.txt", 2, "2 a", ValueError, r"image_class_labels\.txt:2: expected an id.*got 'a'"),
    "label missing": (
        "image_class_labels.txt",
        5,
        None,
        ValueError,
        r"labels\.txt: expected a line for each of 24.*none for 5",
    ),
    "id twice": ("images.txt", 2, "1 001.Bird_0/Bird_0001.jpg", ValueError, r"images\.txt:2: id 1 is there a second time"),
    "id none": ("images.txt", 2, "x 001.Bird_0/Bird_0001.jpg", ValueError, r"images\.txt:2: expected an id.*got 'x'"),
    "column missing": ("images.txt", 2, "2", ValueError, r"images\.txt:2: expected 2 columns, got '2'"),
    "path up": (
        "images.txt",
        7,
        "7 001.Bird_0/../../../secret.jpg",
        ValueError,
        r"images\.txt:7: expected the path",
    ),
    "path absolute": ("images.txt", 7, "7 /etc/passwd", ValueError, r"images\.txt:7: expected the path of an image below"),
    "image missing": (
        "images.txt",
        7,
        "7 001.Bird_0/none.jpg",
        FileNotFoundError,
        r"none\.jpg, which is item 7",
    ),
    "box of words": ("bounding_boxes.txt", 1, "1 a 2 3 4", ValueError, r"bounding_boxes\.txt:1: expected left, top"),
    "box empty": ("bounding_boxes.txt", 1, "1 1 2 0 4", ValueError, r"bounding_boxes\.txt:1: expected left, top"),
    "box nan": ("bounding_boxes.txt", 1, "1 nan 2 3 4", ValueError, r"bounding_boxes\.txt:1: expected left, top"),
    "part unknown": ("parts/part_locs.txt", 6, "2 5 1 1 1", ValueError, r"part_locs\.txt:6: id 5 is not in parts\.txt"),
    "part of unknown": ("parts/part_locs.txt", 6, "77 2 1 1 1", ValueError, r"part_locs\.txt:6: id 77 is not in images\.txt"),
    "part twice": (
        "parts/part_locs.txt",
        6,
        "2 1 1 1 1",
        ValueError,
        r"locs\.txt:6: part 1 of image 2 is there a second",
    ),
    "part missing": ("parts/part_locs.txt", 6, None, ValueError, r"part_locs\.txt: expected 4 parts .* no part 2 of image 2"),
    "part half visible": (
        "parts/part_locs.txt",
        6,
        "2 2 1 1 0.5",
        ValueError,
        r"locs\.txt:6: expected whether .* got '0\.5'",
    ),
    "class gap": ("classes.txt", 2, "5 five", ValueError, r"classes\.txt: expected ids 1, 2, 3"),
    "binary": ("images.txt", 2, "\udcff", ValueError, r"images\.txt is not a list"),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_list_is_named_with_its_line(root, how):
    name, line, text, error, message = DAMAGE[how]
    file = root / "CUB_200_2011" / name
    if line is None:
        file.unlink()
    elif how == "binary":
        file.write_bytes(b"1 \xff\xfe\n")
    else:
        edit(file, line, text)
    with pytest.raises(error, match=message):
        ready(root)


def test_missing_images_are_named_and_counted(root):
    shutil.rmtree(root / "CUB_200_2011" / "images" / "002.Bird_1")
    with pytest.raises(FileNotFoundError, match=r"002\.Bird_1/Bird_0000\.jpg, which is item 9 of images\.txt; 8 of 24"):
        ready(root)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("kept", [0.5, 0.9, 0])
def test_truncated_jpeg_is_named(root, kept, num_workers):
    for file in (root / "CUB_200_2011" / "images").rglob("*_0007.jpg"):  # a test image of each class
        content = file.read_bytes()
        file.write_bytes(content[: int(len(content) * kept)])
    data = ready(root, num_workers=num_workers)
    with pytest.raises(ValueError, match=r"Bird_0007\.jpg \(item \d+ of images\.txt\) is not an image") as caught:
        list(data.test_dataloader())
    assert "Traceback" not in str(caught.value)
    assert multiprocessing.active_children() == []


def test_counts_of_the_published_set_are_checked(root, monkeypatch):
    monkeypatch.setattr(published, "PUBLISHED", published.Counts(18, 6, 3, 4))
    ready(root)
    edit(root / "CUB_200_2011" / "train_test_split.txt", 1, "1 0")
    with pytest.raises(ValueError, match=r"expected 18 training and 6 test images of 3 classes.*got 17 training and 7 test"):
        ready(root)


def test_published_counts_are_the_paper_s():
    assert published.PUBLISHED == (5994, 5794, 200, 15)


def test_absent_set_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        Birds("cub", str(tmp_path)).prepare_data()
    for part in ("--data.download=true", published.URL, "tar -xzf CUB_200_2011.tgz", "--data.source=generated"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"source": "other"}, "expected source one of generated, cub; got 'other'"),
        ({"size": 0}, "size of at least 1"),
        ({"size": 100, "resize": 99}, "expected size <= resize"),
        ({"batch_size": 0}, "batch_size of at least 1"),
        ({"num_workers": -1}, "num_workers of at least 0"),
        ({"num_validation": 0}, "num_validation of at least 1"),
        ({"classes": 1}, "classes from 2 to"),
        ({"images_per_class": (3, 0)}, "images_per_class of at least 1"),
        ({"side": 8}, "side .* from 32 to 1024, got 8"),
        ({"seed": -1}, "seeds of at least 0"),
    ],
)
def test_arguments_out_of_range_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        Birds(**options)


def test_validation_must_leave_something(written):
    with pytest.raises(ValueError, match="expected num_validation below 18"):
        ready(written, num_validation=18)


def test_what_is_known_after_setup_says_so():
    with pytest.raises(ValueError, match="known after setup"):
        Birds("cub").class_names  # noqa: B018


# -- prediction


def test_test_images_are_predicted_with_their_names(written):
    data = ready(written)
    (first, _) = seen(data, data.predict_dataloader())
    assert isinstance(first, Named)
    assert first.name[0] == "001.Bird_0/Bird_0006.jpg"
    assert torch.equal(first.image, whole(seen(data, data.test_dataloader())).image[:4])


def test_folder_is_predicted_upright(written, tmp_path):
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (40, 60, 3), np.uint8)
    turned = Image.Exif()
    turned[0x112] = 6  # the camera was held on its side
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(np.rot90(pixels)).save(tmp_path / "b.png", exif=turned)
    (tmp_path / "notes.txt").write_text("no image")
    data = ready(written, images=str(tmp_path))
    (batch,) = seen(data, data.predict_dataloader())
    assert batch.name == ["a.png", "b.png"]
    assert torch.equal(batch.image[0], batch.image[1])


# -- the archive


@pytest.fixture
def archive(written, tmp_path):
    """The address and MD5 of a small archive on a web server of this machine."""
    served = tmp_path / "served"
    served.mkdir()
    with tarfile.open(served / "CUB_200_2011.tgz", "w:gz") as tar:
        tar.add(written / "CUB_200_2011", "CUB_200_2011")
        tar.add(written / "CUB_200_2011" / "classes.txt", "attributes.txt")  # lies beside, as in the published one

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(served)))
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    content = (served / "CUB_200_2011.tgz").read_bytes()
    yield f"http://127.0.0.1:{web.server_port}/CUB_200_2011.tgz", hashlib.md5(content).hexdigest()
    web.shutdown()
    thread.join()
    web.server_close()


def test_archive_is_fetched_once_verified_and_unpacked(archive, tmp_path):
    root = tmp_path / "data"
    published.download(root, *archive)
    assert len(ready(root).class_names) == CLASSES
    assert {path.name for path in root.iterdir()} == {"CUB_200_2011", ".CUB_200_2011.lock"}
    published.download(root, "http://127.0.0.1:9/never.tgz", "")


def test_other_archive_is_refused(archive, tmp_path):
    with pytest.raises(ValueError, match=f"expected MD5 {'0' * 32}, got {archive[1]}"):
        published.download(tmp_path / "data", archive[0], "0" * 32)
    assert {path.name for path in (tmp_path / "data").iterdir()} == {".CUB_200_2011.lock"}


def test_archive_that_cannot_be_fetched_says_what_to_do(archive, tmp_path):
    with pytest.raises(ConnectionError, match=r"gone\.tgz could not be fetched.*tar -xzf gone\.tgz"):
        published.download(tmp_path / "data", archive[0].replace("CUB_200_2011", "gone"), archive[1])


def test_folder_without_the_lists_is_not_overwritten(archive, tmp_path):
    mine = tmp_path / "data" / "CUB_200_2011" / "mine.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"CUB_200_2011 has no images\.txt"):
        published.download(tmp_path / "data", *archive)
    assert mine.read_bytes() == b"mine"


# -- Lightning


class Sizes(LightningModule):
    """Notes what it is given."""

    def __init__(self):
        super().__init__()
        self.layer, self.noted = torch.nn.Linear(1, 1), []

    def training_step(self, batch, batch_idx):
        self.noted.append([tuple(part.shape) for part in batch])
        return self.layer(batch.image.mean().reshape(1, 1)).sum()

    def validation_step(self, batch, batch_idx):
        assert isinstance(batch, Annotated)

    def predict_step(self, batch, batch_idx):
        return batch.name

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)


def test_trainer_trains_and_predicts_with_workers(written, tmp_path):
    trainer = Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    module, data = Sizes(), Birds("cub", str(written), **{**SMALL, "num_workers": 1})
    trainer.fit(module, data)
    assert module.noted == [[(4, 3, 28, 28), (4,), (4, 4, 3), (4, 4)]] * 6
    names = [name for batch in trainer.predict(module, data) for name in batch]
    assert names == [name for name, train in zip(data._set.names, data._set.training, strict=True) if not train]
