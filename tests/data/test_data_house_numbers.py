"""HouseNumbers, on drawn numbers and on a small SVHN."""

import logging
import shutil
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from PIL import Image

from stn_lightning.data import HouseNumbers, Named
from stn_lightning.data._batches import Raw
from stn_lightning.data._crops import crop, window
from stn_lightning.data._parts import centre_crops, random_crops
from stn_lightning.data._svhn.digit_struct import Box, HouseNumber, read_digit_struct, write_digit_struct

TRAIN, TEST, VALIDATION = 60, 20, 12
SMALL = {"num_generated": (TRAIN, TEST), "num_validation": VALIDATION, "batch_size": 8, "side": 20, "crop": 16}


def ready(root, stage=None, **options):
    data = HouseNumbers(root=str(root), **{**SMALL, **options})
    data.prepare_data()
    data.setup(stage)
    return data


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A root with drawn numbers and their cache."""
    root = tmp_path_factory.mktemp("house_numbers")
    ready(root)
    return root


def folder_of(root, split):
    (folder,) = (root / "house_numbers").glob(f"{split}-*")
    return folder


def files_of(root, split, side=20, enlargement=1.3):
    """(digits, crop) of every file, read without the cache."""
    folder = folder_of(root, split)
    for number in read_digit_struct(folder / "digitStruct.mat"):
        with Image.open(folder / number.name) as image:
            pixels = crop(image, window(number.boxes, enlargement), side)
        yield [box.digit for box in number.boxes], pixels


def digits(target):
    return [[digit for digit in row if digit < 10] for row in target.tolist()]


def seen(data, loader):
    batches = [data.on_after_batch_transfer(batch, 0) for batch in loader]
    return torch.cat([batch[0] for batch in batches]), torch.cat([batch[1] for batch in batches])


def with_place(data, rank, world_size):
    data.trainer = SimpleNamespace(global_rank=rank, world_size=world_size)
    return data


def test_arguments_of_the_paper_are_the_defaults():
    data = HouseNumbers()
    assert (data.side, data.enlargement, data.crop, data.max_length, data.batch_size) == (64, 1.3, 54, 5, 128)
    assert (data.num_validation, HouseNumbers("svhn").num_validation) == (500, 5000)
    assert (data.input_shape, data.num_classes) == ((3, 54, 54), 10)


def test_test_images_are_the_middles_of_the_crops_of_their_files(drawn):
    data = ready(drawn)
    images, target = seen(data, data.test_dataloader())
    rows, pixels = zip(*files_of(drawn, "test"), strict=True)
    assert digits(target) == list(rows)
    assert torch.equal(images, torch.from_numpy(np.stack(pixels))[:, :, 2:18, 2:18].float() / 255)
    assert images.shape[1:] == data.input_shape
    assert (images.dtype, target.dtype, target.shape) == (torch.float32, torch.int64, (TEST, 5))


def test_null_is_behind_the_digits_alone(drawn):
    data = ready(drawn)
    _, target = seen(data, data.test_dataloader())
    for row in target.tolist():
        length = row.index(10) if 10 in row else 5
        assert length > 0
        assert row[length:] == [10] * (5 - length)


def test_training_and_validation_part_the_training_files(drawn):
    data = ready(drawn)
    pool = sorted(pixels.tobytes() for _, pixels in files_of(drawn, "train"))
    parts = {
        name: [data._sets[name].images[row[None]].numpy().tobytes() for row in data._sets[name].chosen] for name in data._sets
    }
    assert sorted(parts["train"] + parts["validation"]) == pool
    assert [len(parts[name]) for name in ("train", "validation", "test")] == [TRAIN - VALIDATION, VALIDATION, TEST]
    assert not set(parts["test"]) & set(pool)


def test_target_stays_with_its_image(drawn):
    known = {pixels.tobytes(): row for row, pixels in files_of(drawn, "train")}
    data = ready(drawn, crop=20)
    for loader in (data.train_dataloader(), data.val_dataloader()):
        images, target = seen(data, loader)
        found = [known[image.tobytes()] for image in (images * 255).round().to(torch.uint8).contiguous().numpy()]
        assert digits(target) == found


def test_validation_is_chosen_by_its_seed_alone(drawn):
    def chosen(**options):
        return ready(drawn, num_generated=(TRAIN, TEST), **options)._sets["validation"].chosen.tolist()

    assert chosen(seed=0) == chosen(seed=1)
    from stn_lightning.data._number_sets import hold_out

    numbers = ready(drawn)._select(["train"])
    one, two = (hold_out(numbers, TRAIN, VALIDATION, seed)[1].chosen.tolist() for seed in (0, 1))
    assert one == chosen()
    assert set(one) != set(two)


def test_statistics_are_numpys_of_the_training_images_alone(drawn):
    data = ready(drawn)
    images = data._sets["train"].images[data._sets["train"].chosen].numpy() / 255
    mean, std = data.statistics
    np.testing.assert_allclose(mean.numpy(), images.mean((0, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(std.numpy(), images.std((0, 2, 3)), atol=1e-6)
    assert mean.shape == std.shape == (3,)


def test_statistics_before_setup_say_when_they_are_known():
    with pytest.raises(ValueError, match=r"after setup\('fit'\)"):
        _ = HouseNumbers().statistics


def test_looser_crops_keep_the_digits_size(drawn):
    """The middle of the loose crop is the tight one: twice the window at twice the pixels."""
    tight, loose = ready(drawn, crop=20), ready(drawn, side=40, enlargement=2.6, crop=20)
    one, two = (seen(data, data.test_dataloader())[0] for data in (tight, loose))
    assert (one - two).abs().max() <= 2.01 / 255  # rounded twice


# -- training batches


def test_same_seed_gives_the_same_batches_and_another_epoch_others(drawn):
    def epoch(number, seed=3):
        data = ready(drawn, seed=seed)
        loader = data.train_dataloader()
        loader.set_epoch(number)
        return seen(data, loader)

    (images, target), again = epoch(1), epoch(1)
    assert torch.equal(images, again[0])
    assert torch.equal(target, again[1])
    for other in (epoch(2), epoch(1, seed=4)):
        assert not torch.equal(images, other[0])


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_ranks_part_an_epoch_and_an_evaluation(drawn, world_size):
    ranks = [with_place(ready(drawn), rank, world_size) for rank in range(world_size)]
    chosen = ranks[0]._sets["train"].chosen
    numbers = {image.numpy().tobytes(): int(row) for row in chosen for image in ranks[0]._sets["train"].images[row[None]]}
    trained = [numbers[image.numpy().tobytes()] for data in ranks for raw in data.train_dataloader() for image in raw.image]
    assert len(set(trained)) == len(trained) == TRAIN - VALIDATION - (TRAIN - VALIDATION) % (8 * world_size)
    parts = [seen(data, data.test_dataloader()) for data in ranks]
    whole = seen(ready(drawn), ready(drawn).test_dataloader())
    for rank, (images, target) in enumerate(parts):
        assert torch.equal(images, whole[0][rank::world_size])
        assert torch.equal(target, whole[1][rank::world_size])
    names = [name for data in ranks for batch in data.predict_dataloader() for name in batch.name]
    assert sorted(names) == sorted(f"{i}.png" for i in range(1, TEST + 1))


def coordinates(count, side):
    """Images whose first channel is the row of a pixel, the second its column, the third the image's number."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    images = torch.stack([rows, columns, torch.zeros_like(rows)]).to(torch.uint8).repeat(count, 1, 1, 1)
    images[:, 2] = (torch.arange(count) % 256).to(torch.uint8)[:, None, None]
    return images


def test_random_crops_are_windows_of_their_image():
    crops = random_crops(coordinates(200, 12), 9, torch.Generator().manual_seed(0)).long()
    assert crops.shape == (200, 3, 9, 9)
    within = torch.arange(9)
    assert (crops[:, 0] == crops[:, 0, :1, :1] + within[:, None]).all()
    assert (crops[:, 1] == crops[:, 1, :1, :1] + within).all()
    assert (crops[:, 2] == torch.arange(200)[:, None, None]).all()


def test_random_crops_cover_all_places_alike():
    crops = random_crops(coordinates(16_000, 12), 9, torch.Generator().manual_seed(0)).long()
    counts = torch.bincount(crops[:, 0, 0, 0] * 4 + crops[:, 1, 0, 0], minlength=16)
    assert len(counts) == 16
    assert ((counts - 1000).abs() < 5 * 1000**0.5).all()


def test_places_of_random_crops_are_of_the_seed_alone(drawn):
    data = HouseNumbers(side=12, crop=9)
    one, again, other = (
        data.on_after_batch_transfer(Raw(coordinates(50, 12), torch.zeros(50, 5), seed), 0)[0] for seed in (5, 5, 6)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(("size", "side", "first"), [(64, 54, 5), (128, 108, 10), (9, 9, 0), (10, 7, 1)])
def test_centre_crops_are_the_middle(size, side, first):
    crops = centre_crops(coordinates(2, size), side)
    assert crops.shape == (2, 3, side, side)
    assert (crops[:, :2, 0, 0] == first).all()


# -- what is done when


def test_second_start_decodes_and_draws_nothing(drawn, monkeypatch):
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("decoded"))
    monkeypatch.setattr(Image.Image, "save", lambda *_, **__: pytest.fail("drawn"))
    data = ready(drawn)
    assert len(seen(data, data.train_dataloader())[1]) == TRAIN - VALIDATION


def test_other_crops_of_the_same_files_have_their_own_cache(drawn):
    before = {folder_of(drawn, split).stat().st_ino for split in ("train", "test")}
    for options in ({"side": 24}, {"enlargement": 2}):
        data = ready(drawn, **options)
        rows, pixels = zip(*files_of(drawn, "test", data.side, data.enlargement), strict=True)
        assert torch.equal(data._caches["test"].images, torch.from_numpy(np.stack(pixels)))
        assert digits(data._sets["test"].target) == list(rows)
    assert {folder_of(drawn, split).stat().st_ino for split in ("train", "test")} == before


def test_changed_file_makes_another_cache(drawn, tmp_path):
    root = shutil.copytree(drawn, tmp_path / "data")
    Image.new("RGB", (50, 50), (200, 100, 0)).save(folder_of(root, "test") / "1.png")
    image = ready(root)._caches["test"].images[0]
    assert (image == torch.tensor([200, 100, 0])[:, None, None]).all()


def test_drawing_is_the_same_in_another_folder_and_other_of_another_seed(drawn, tmp_path):
    again, other = ready(tmp_path / "one"), ready(tmp_path / "two", evaluation_seed=1)
    first = ready(drawn)
    assert torch.equal(first._caches["train"].images, again._caches["train"].images)
    assert not torch.equal(first._caches["train"].images, other._caches["train"].images)


def test_litter_of_a_killed_drawing_is_removed(tmp_path):
    stale = tmp_path / "house_numbers" / ".train-0123456789abcdef.99.part"
    stale.mkdir(parents=True)
    (stale / "1.png").write_bytes(b"half")
    ready(tmp_path)
    assert {path.name.partition("-")[0] for path in stale.parent.iterdir()} == {".lock", "train", "test"}


def test_setup_without_prepare_data_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="prepare_data draws them"):
        HouseNumbers(root=str(tmp_path), **SMALL).setup()


class Reader(LightningModule):
    """Writes down the shapes of its batches."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3 * 16 * 16, 5)
        self.shapes, self.names = {}, []

    def training_step(self, batch, batch_idx):
        images, target = batch
        self.shapes["train"] = images.shape, target.shape
        return self.layer(images.flatten(1)).sub(target).square().mean()

    def validation_step(self, batch, batch_idx):
        self.shapes["validation"] = batch[0].shape, batch[1].shape

    def test_step(self, batch, batch_idx):
        self.shapes["test"] = batch[0].shape, batch[1].shape

    def predict_step(self, batch, batch_idx):
        assert isinstance(batch, Named)
        self.names += batch.name
        return self.layer(batch.image.flatten(1))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def trainer():
    silent = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    return Trainer(max_epochs=1, accelerator="cpu", **silent)


def test_trainer_prepares_what_its_command_needs(tmp_path):
    def prepared():
        return {path.name.partition("-")[0] for path in (tmp_path / "house_numbers").iterdir()} - {".lock"}

    make, model = partial(HouseNumbers, root=str(tmp_path), **SMALL), Reader()
    trainer().fit(model, make())
    assert prepared() == {"train"}
    trainer().validate(model, make(), verbose=False)
    assert prepared() == {"train"}
    trainer().test(model, make(), verbose=False)
    assert prepared() == {"train", "test"}
    shapes = (8, 3, 16, 16), (8, 5)
    assert model.shapes == {"train": shapes, "validation": ((4, 3, 16, 16), (4, 5)), "test": ((4, 3, 16, 16), (4, 5))}
    shutil.rmtree(tmp_path / "house_numbers")
    trainer().predict(model, make(images=str(images_in(tmp_path / "images"))), return_predictions=False)
    assert model.names == ["a.png", "b.jpg"]
    assert not (tmp_path / "house_numbers").exists()


# -- prediction


def images_in(folder):
    folder.mkdir()
    for name, grey in (("b.jpg", 51), ("a.png", 204)):
        Image.new("RGB", (31, 17), (grey, grey, grey)).save(folder / name)
    return folder


def test_images_of_a_folder_are_crops(tmp_path):
    data = ready(tmp_path, "predict", images=str(images_in(tmp_path / "images")))
    (batch,) = (data.on_after_batch_transfer(batch, 0) for batch in data.predict_dataloader())
    assert batch.name == ["a.png", "b.jpg"]
    assert batch.image.shape == (2, 3, 16, 16)
    torch.testing.assert_close(batch.image.mean((1, 2, 3)), torch.tensor([0.8, 0.2]), atol=0.005, rtol=0)


def test_folder_with_boxes_is_cropped_by_them(drawn, tmp_path):
    data = ready(tmp_path, "predict", images=str(folder_of(drawn, "test")))
    test = ready(drawn)
    images = torch.cat([data.on_after_batch_transfer(batch, 0).image for batch in data.predict_dataloader()])
    assert torch.equal(images, seen(test, test.test_dataloader())[0])


def test_test_images_are_predicted_where_there_is_no_folder(drawn):
    data = ready(drawn, "predict")
    batches = [data.on_after_batch_transfer(batch, 0) for batch in data.predict_dataloader()]
    assert [name for batch in batches for name in batch.name] == [f"{i}.png" for i in range(1, TEST + 1)]
    assert len(data.predict_dataloader()) == len(batches) == 3
    assert torch.equal(torch.cat([batch.image for batch in batches]), seen(ready(drawn), ready(drawn).test_dataloader())[0])


def test_unreadable_image_is_named(tmp_path):
    folder = images_in(tmp_path / "images")
    (folder / "c.png").write_bytes(b"no image")
    data = ready(tmp_path, "predict", images=str(folder))
    with pytest.raises(ValueError, match=r"images/c\.png is not an image"):
        list(data.predict_dataloader())


@pytest.mark.parametrize(("folder", "text"), [("absent", "absent is not there"), ("empty", "no images in .*empty")])
def test_folder_without_images_is_named(tmp_path, folder, text):
    (tmp_path / "empty").mkdir()
    data = HouseNumbers(root=str(tmp_path), images=str(tmp_path / folder))
    data.setup("predict")
    with pytest.raises(FileNotFoundError, match=text):
        data.predict_dataloader()


# -- SVHN


def write_svhn(root, split, lengths):
    """Grey images of numbers of the given lengths; the grey is the number's place."""
    folder = root / "SVHN" / split
    folder.mkdir(parents=True)
    numbers = []
    for i, length in enumerate(lengths):
        boxes = tuple(Box((i + k) % 10, 2.0 + 5 * k, 3, 4, 9) for k in range(length))
        numbers.append(HouseNumber(f"{i + 1}.png", boxes))
        Image.new("RGB", (40, 20), (i, 2 * i, 255 - i)).save(folder / numbers[-1].name)
    write_digit_struct(folder / "digitStruct.mat", numbers)


SVHN = {"source": "svhn", "num_validation": 3, "batch_size": 4, "side": 10, "crop": 8, "num_generated": (1, 1)}


@pytest.fixture
def svhn(tmp_path):
    write_svhn(tmp_path, "train", [1, 2, 6, 3, 4, 5, 2, 2, 1, 3])
    write_svhn(tmp_path, "test", [2, 2, 6, 1])
    write_svhn(tmp_path, "extra", [1, 2, 3, 6, 2])
    return tmp_path


def test_numbers_that_are_too_long_are_left_out_and_said(svhn, caplog):
    with caplog.at_level(logging.INFO):
        data = ready(svhn, **SVHN)
    assert [len(data._sets[name].chosen) for name in ("train", "validation", "test")] == [6, 3, 3]
    messages = [record.getMessage() for record in caplog.records]
    assert "1 of 10 house numbers of train left out: they have over 5 digits" in messages
    assert "1 of 4 house numbers of test left out: they have over 5 digits" in messages
    longer = ready(svhn, **SVHN, max_length=6)
    assert [len(longer._sets[name].chosen) for name in ("train", "validation", "test")] == [7, 3, 4]
    assert longer._sets["test"].target[2].tolist() == [2, 3, 4, 5, 6, 7]
    assert longer._sets["test"].target[3].tolist() == [3, 10, 10, 10, 10, 10]


def test_extra_images_are_trained_on_and_never_validated_on(svhn):
    plain, more = ready(svhn, **SVHN), ready(svhn, **SVHN, extra=True)
    assert more._sets["validation"].chosen.tolist() == plain._sets["validation"].chosen.tolist()
    assert sorted(more._sets["train"].chosen.tolist())[-4:] == [10, 11, 12, 14]
    assert len(more._sets["train"].chosen) == 6 + 4
    images = more._sets["train"].images
    for place, target in zip(more._sets["train"].chosen, more._sets["train"].target, strict=True):
        grey = int(images[place[None]][0, 0, 0, 0])
        assert int(target[0]) == grey == int(place) - 10 * (place >= 10)
    values = images[more._sets["train"].chosen].numpy() / 255
    np.testing.assert_allclose(more.statistics[0].numpy(), values.mean((0, 2, 3)), atol=1e-6)


@pytest.mark.parametrize("split", ["train", "test", "extra"])
def test_absent_split_is_named(svhn, split):
    shutil.rmtree(svhn / "SVHN" / split)
    with pytest.raises(FileNotFoundError, match=rf"no {split}/digitStruct\.mat in .*SVHN: --data\.download=true"):
        ready(svhn, **SVHN, extra=True)


def test_validation_must_leave_something_to_train_on(svhn):
    with pytest.raises(ValueError, match="num_validation above 0 and below 9, got 9"):
        ready(svhn, **{**SVHN, "num_validation": 9})


def test_numbers_can_be_made_of_mnist(tiny_mnist, tmp_path):
    root = shutil.copytree(tiny_mnist, tmp_path / "data")
    data = ready(root, digits="mnist")
    assert len(seen(data, data.test_dataloader())[0]) == TEST
    with pytest.raises(FileNotFoundError, match=r"no MNIST in .*--data\.digits=digits"):
        ready(tmp_path / "nothing", digits="mnist")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"source": "street"}, "source one of generated, svhn; got 'street'"),
        ({"digits": "letters"}, "digits one of digits, mnist; got 'letters'"),
        ({"side": 0, "crop": 0}, "side of at least 1, got 0"),
        ({"side": 2000}, "crop <= side <= 1024"),
        ({"crop": 65}, "crop <= side .* got crop=65, side=64"),
        ({"crop": 0}, "crop of at least 1"),
        ({"enlargement": 0.0}, "enlargement above 0 .* got 0.0"),
        ({"enlargement": float("nan")}, "enlargement above 0 .* got nan"),
        ({"max_length": 0}, "max_length of at least 1"),
        ({"batch_size": 0}, "batch_size of at least 1"),
        ({"num_validation": 0}, "num_validation of at least 1"),
        ({"num_generated": (0, 10)}, "num_generated of at least 1"),
        ({"num_generated": (10,)}, "num_generated for training and test"),
        ({"num_generated": (500, 10)}, r"num_validation below 500 \(num_generated\), got 500"),
        ({"extra": True}, "expected extra=false with source 'generated'"),
        ({"seed": -1}, "seeds of at least 0, got seed=-1"),
        ({"evaluation_seed": -1}, "seeds of at least 0, .*evaluation_seed=-1"),
    ],
)
def test_arguments_out_of_range_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        HouseNumbers(**options)
