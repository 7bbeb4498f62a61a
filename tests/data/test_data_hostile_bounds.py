"""What is bounded, with lower bounds than the true ones; and what users have and hostile files look like."""

import hashlib
import io
import json
import os
import struct
import tarfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from stn_lightning.data import _archives, _class_folders, _decoding, _image_cache, _sources
from stn_lightning.data._class_folders import list_files
from stn_lightning.data._cub import lists
from stn_lightning.data._decoding import read_image
from stn_lightning.data._image_cache import Item, build
from stn_lightning.data._svhn import digit_struct
from stn_lightning.data._svhn.digit_struct import Box, HouseNumber, read_digit_struct, write_digit_struct

FRACTIONS = {"val": 0.1, "test": 0.1}


def noise(width=40, height=30):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def pixels(image):
    return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize(
    ("bound", "most", "name"),
    [
        ("MOST_PIXELS", 1199, "x.png"),
        ("MOST_PIXELS", 1199, "x.jpg"),
        ("MOST_WEBP_PIXELS", 1199, "x.webp"),
        ("LONGEST_SIDE", 39, "x.bmp"),
        ("MOST_IMAGE_BYTES", 500, "x.png"),
        ("MOST_IMAGE_READS", 3, "x.jpg"),
        ("MOST_SCANNED", 1199, "x.jpg"),
    ],
)
def test_image_beyond_a_bound_is_named(tmp_path, monkeypatch, bound, most, name):
    noise().save(tmp_path / name)
    assert read_image(tmp_path / name, pixels).shape == (30, 40, 3)
    monkeypatch.setattr(_decoding, bound, most)
    with pytest.raises(ValueError, match=rf"{name} is not an image that can be read"):
        read_image(tmp_path / name, pixels)


@pytest.mark.parametrize(("kind", "name"), [("PNG", "x.jpg"), ("JPEG", "x.png"), ("WEBP", "x.bmp")])
def test_content_says_the_format_not_the_name(tmp_path, kind, name):
    noise().save(tmp_path / name, kind)
    with Image.open(tmp_path / name) as expected:
        assert (read_image(tmp_path / name, pixels) == np.asarray(expected)).all()


def test_usual_progressive_photograph_is_read(tmp_path):
    noise(800, 600).save(tmp_path / "x.jpg", progressive=True)
    assert read_image(tmp_path / "x.jpg", pixels).shape == (600, 800, 3)


def test_jpeg_of_two_images_as_telephones_write_it_is_read(tmp_path):
    noise().save(tmp_path / "x.jpg", "MPO", save_all=True, append_images=[noise(20, 15)])
    assert read_image(tmp_path / "x.jpg", pixels).shape == (30, 40, 3)


def write_classes(folder):
    for name in ("cat", "dog"):
        (folder / name / "more").mkdir(parents=True)
        for i in range(3):
            noise().save(folder / name / f"{i}.png")
            noise().save(folder / name / "more" / f"{i}.png")


def test_linked_root_class_folder_and_image_are_followed(tmp_path):
    write_classes(tmp_path / "there")
    (tmp_path / "photos").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).symlink_to(tmp_path / "there" / name)
    noise().save(tmp_path / "one.png")
    (tmp_path / "photos" / "cat" / "linked.png").symlink_to(tmp_path / "one.png")
    (tmp_path / "root").symlink_to(tmp_path / "photos")
    found = list_files(tmp_path / "root", FRACTIONS, 0)
    assert sum(len(part.files) for part in found.values()) == 13


def test_a_split_may_be_a_link_to_another(tmp_path):
    write_classes(tmp_path / "train")
    (tmp_path / "val").symlink_to("train")
    found = list_files(tmp_path, FRACTIONS, 0)
    assert len(found["val"].files) == 12


def test_order_of_images_is_torchvision_s(tmp_path):
    from torchvision.datasets.folder import make_dataset

    write_classes(tmp_path)
    (tmp_path / "cat" / "more-over").mkdir()
    noise().save(tmp_path / "cat" / "more-over" / "z.png")
    (tmp_path / "cat" / "more" / "x").mkdir()
    noise().save(tmp_path / "cat" / "more" / "x" / "z.png")
    expected = make_dataset(str(tmp_path), {"cat": 0, "dog": 1}, extensions=(".png",))
    found = _class_folders._listed(tmp_path, ["cat", "dog"])
    assert list(zip(found.files, found.targets.tolist(), strict=True)) == expected


def test_list_of_more_lines_or_ids_is_named(tmp_path, monkeypatch):
    (tmp_path / "list.txt").write_text("1 a\n2 b\n\n\n")
    assert lists.keyed(tmp_path / "list.txt", 2, lambda _, cells: cells[0]) == {1: "a", 2: "b"}
    with pytest.raises(ValueError, match=r"list\.txt:2: expected at most 1 ids"):
        lists.keyed(tmp_path / "list.txt", 2, lambda _, cells: cells[0], most=1)
    monkeypatch.setattr(lists, "MOST_LINES", 3)
    with pytest.raises(ValueError, match=r"list\.txt has more lines than 3"):
        lists.keyed(tmp_path / "list.txt", 2, lambda _, cells: cells[0])


def test_mnist_of_the_published_size_has_the_published_hash(tmp_path, monkeypatch):
    file = tmp_path / "train-labels-idx1-ubyte"
    file.write_bytes(struct.pack(">2I", 0x801, 3) + b"\1\2\3")
    assert _sources._read(file, 1).tolist() == [1, 2, 3]
    for hexadecimal, whole in ((hashlib.sha256(file.read_bytes()).hexdigest(), True), ("0" * 64, False)):
        monkeypatch.setitem(_sources.PUBLISHED, file.name, _sources.Published(3, hexadecimal))
        if whole:
            assert len(_sources._read(file, 1)) == 3
        else:
            with pytest.raises(ValueError, match="train-labels-idx1-ubyte has as many items as that of MNIST"):
                _sources._read(file, 1)


def test_more_numbers_than_the_most_are_refused(tmp_path, monkeypatch):
    file = tmp_path / "digitStruct.mat"
    write_digit_struct(file, [HouseNumber(f"{i}.png", (Box(1, 2, 3, 4, 5),)) for i in range(4)])
    assert len(read_digit_struct(file)) == 4
    monkeypatch.setattr(digit_struct, "MOST_NUMBERS", 3)
    with pytest.raises(ValueError, match=r"digitStruct\.mat: .*from 1 to 3"):
        read_digit_struct(file)


def archive(folder, count):
    with tarfile.open(folder / "a.tar.gz", "w:gz") as tar:
        for i in range(count):
            member = tarfile.TarInfo(f"train/{i}.png")
            member.size = 1000
            tar.addfile(member, io.BytesIO(bytes(1000)))
    return folder / "a.tar.gz"


@pytest.mark.parametrize(("bound", "most"), [("MOST_MEMBERS", 9), ("SLACK", 100)])
def test_archive_of_more_members_or_bytes_is_refused(tmp_path, monkeypatch, bound, most):
    file = archive(tmp_path, 10)
    _archives.unpack(file, "http://localhost/a.tar.gz")
    assert len(list((tmp_path / "train").iterdir())) == 10
    monkeypatch.setattr(_archives, bound, most)
    with pytest.raises(ValueError, match=r"a\.tar\.gz could not be unpacked.*it holds more than"):
        _archives.unpack(file, "http://localhost/a.tar.gz")


def test_member_of_a_long_name_is_unpacked(tmp_path):
    name = "/".join(["folder" * 10] * 5) + "/1.png"
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo(name))
    _archives.unpack(tmp_path / "a.tar.gz", "http://localhost/a.tar.gz")
    assert (tmp_path / name).is_file()


@pytest.mark.parametrize(("said", "sent", "says"), [(None, 5000, "more than 4096"), (900, 800, "expected 900 bytes, got 800")])
def test_more_or_less_than_should_come_is_a_connection_error(tmp_path, said, sent, says):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            if said is not None:
                self.send_header("Content-Length", str(said))
            self.end_headers()
            self.wfile.write(bytes(sent))

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(ConnectionError, match=rf"a\.tar\.gz could not be fetched: .*{says}.*unpack it"):
            _archives.fetch(f"http://127.0.0.1:{server.server_port}/a.tar.gz", tmp_path, "unpack it", 4096)
        thread.join()


@pytest.mark.parametrize("name", ["manifest.json", "names.json"])
@pytest.mark.parametrize("how", ["pipe", "large"])
def test_table_of_a_cache_that_is_a_pipe_or_large_is_damage(tmp_path, monkeypatch, name, how):
    def jobs():
        return [lambda: Item(np.ones((3, 2, 2), np.uint8), (1,), "a.png")]

    build(tmp_path, {"a": 1}, jobs)
    (file,) = tmp_path.glob(f"*/{name}")
    if how == "pipe":
        file.unlink()
        os.mkfifo(file)
    else:
        os.truncate(file, _image_cache.MOST_TABLE_BYTES + 1)
    assert build(tmp_path, {"a": 1}, jobs).names == ["a.png"]
    assert next(tmp_path.glob(f"*/{name}")).is_file()


def test_cache_of_no_images_is_damage(tmp_path):
    build(tmp_path, {"a": 1}, lambda: [lambda: Item(np.ones((3, 2, 2), np.uint8), (1,), "a.png")])
    (file,) = tmp_path.glob("*/manifest.json")
    manifest = json.loads(file.read_text())
    for name in ("images.bin", "labels.bin", "moments.bin"):
        file.with_name(name).write_bytes(b"")
    file.with_name("names.json").write_text("[]")
    file.write_text(json.dumps({**manifest, "shape": [0, 3, 2, 2]}))
    again = build(tmp_path, {"a": 1}, lambda: [lambda: Item(np.ones((3, 2, 2), np.uint8), (1,), "a.png")], check=False)
    assert again.names == ["a.png"]


def test_trailing_bytes_are_read_to_the_checksum(tmp_path):
    file = archive(tmp_path, 1)
    content = bytearray(file.read_bytes())
    content[-8] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match="CRC check failed"):
        _archives.unpack(file, "http://localhost/a.tar.gz")
