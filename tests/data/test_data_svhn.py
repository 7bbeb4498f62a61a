"""SVHN in its true format, fetched from a real server, whole and in every broken state."""

import gzip
import hashlib
import io
import os
import socket
import struct
import tarfile
import threading
import zlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from stn_lightning.data._crops import crop, window
from stn_lightning.data._svhn.digit_struct import Box, HouseNumber, write_digit_struct
from stn_lightning.data._svhn.files import ARCHIVES, Archive, download, svhn_folders
from stn_lightning.data._svhn.reading import crops, fingerprint, read_crop, whole_images

DIGITS = [(1,), (0, 9), (5, 5, 5), (2, 0, 1, 7), (1, 2, 3, 4, 5), (1, 2, 3, 4, 5, 6)]
IMAGES, SHOWN = len(DIGITS), sum(map(len, DIGITS))


def numbers():
    boxes = [tuple(Box(d, 3.0 + 9 * i - 6 * (len(n) > 4), 4.0 + i, 8, 20) for i, d in enumerate(n)) for n in DIGITS]
    return [HouseNumber(f"{i}.png", row) for i, row in enumerate(boxes, 1)]


def write_split(folder):
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for number in numbers():
        Image.fromarray(draw.integers(0, 256, (32, 48, 3), np.uint8)).save(folder / number.name)
    write_digit_struct(folder / "digitStruct.mat", numbers())
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_split(tmp_path / "SVHN" / "train")


def read_all(folder):
    return [job() for job in crops(folder, 16, 1.3)]


def test_crops_have_the_digits_names_and_pixels_of_their_files(folder):
    items = read_all(folder)
    assert [item.labels for item in items] == DIGITS
    assert [item.name for item in items] == [f"{i}.png" for i in range(1, IMAGES + 1)]
    for item, number in zip(items, numbers(), strict=True):
        with Image.open(folder / number.name) as image:
            expected = crop(image, window(number.boxes, 1.3), 16)
        assert (item.image == expected).all()


def test_missing_image_is_named(folder):
    (folder / "3.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"SVHN/train/3\.png, which is item 3 of 6 of digitStruct\.mat"):
        crops(folder, 16, 1.3)


def test_missing_and_damaged_digit_struct_are_named(folder):
    content = (folder / "digitStruct.mat").read_bytes()
    (folder / "digitStruct.mat").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"SVHN/train/digitStruct\.mat"):
        crops(folder, 16, 1.3)
    (folder / "digitStruct.mat").unlink()
    with pytest.raises(FileNotFoundError, match=r"SVHN/train/digitStruct\.mat"):
        crops(folder, 16, 1.3)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def huge_png(width, height):
    """A PNG of a few bytes that says it has so many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


BROKEN = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[:-300],
    "signature": lambda content: content[:5],
    "flipped": lambda content: content[:200] + bytes([content[200] ^ 8]) + content[201:],
    "html": lambda content: b"<html><body>404 Not Found</body></html>",
    "eps": lambda content: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "64 million pixels": lambda content: huge_png(8000, 8000),
    "10 thousand million pixels": lambda content: huge_png(100_000, 100_000),
    "50 million pixels in a row": lambda content: huge_png(50_000_000, 1),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("how", BROKEN)
def test_broken_image_is_named(folder, how):
    file = folder / "2.png"
    file.write_bytes(BROKEN[how](file.read_bytes()))
    jobs = crops(folder, 16, 1.3)
    with pytest.raises(ValueError, match=r"SVHN/train/2\.png \(item 2 of 6 of digitStruct\.mat\)"):
        jobs[1]()
    assert jobs[2]().labels == (5, 5, 5)


def test_huge_image_is_never_decoded(tmp_path, monkeypatch):
    (tmp_path / "huge.png").write_bytes(huge_png(8000, 8000))
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="8000x8000 pixels; 50000000 in all"):
        read_crop(tmp_path / "huge.png", 16)


def test_fingerprint_is_of_boxes_names_and_sizes(folder):
    prints = [fingerprint(folder), fingerprint(folder)]
    (folder / "see_bboxes.m").write_text("a file of the archive that is neither")
    prints.append(fingerprint(folder))
    assert len(set(prints)) == 1
    (folder / "1.png").rename(folder / "7.png")
    prints.append(fingerprint(folder))
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes() + b"\0")
    prints.append(fingerprint(folder))
    write_digit_struct(folder / "digitStruct.mat", numbers()[::-1])
    prints.append(fingerprint(folder))
    assert len(set(prints)) == 4


def test_whole_images_are_in_the_order_of_names(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"no images in {tmp_path}"):
        whole_images(tmp_path, 8)
    for name, grey in (("b.png", 10), ("a.JPG", 200), ("c.bmp", 90)):
        Image.new("L", (20, 12), grey).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    items = [job() for job in whole_images(tmp_path, 8)]
    assert [(item.name, item.labels, int(item.image.mean())) for item in items] == [
        ("a.JPG", (), 200),
        ("b.png", (), 10),
        ("c.bmp", (), 90),
    ]
    with pytest.raises(FileNotFoundError, match=r"absent is not there"):
        whole_images(tmp_path / "absent", 8)
    with pytest.raises(FileNotFoundError, match=r"a.JPG is a file"):
        whole_images(tmp_path / "a.JPG", 8)


@pytest.mark.parametrize("split", ARCHIVES)
def test_absent_set_says_what_to_fetch_and_where_to_put_it(tmp_path, split):
    with pytest.raises(FileNotFoundError) as caught:
        svhn_folders(tmp_path, [split])
    message = str(caught.value)
    for part in (
        f"http://ufldl.stanford.edu/housenumbers/{split}.tar.gz",
        f"no {split}/digitStruct.mat in {tmp_path / 'SVHN'}",
        f"tar -xzf FILE -C {tmp_path / 'SVHN'}",
        "--data.download=true",
        "--data.root",
        "--data.source=generated",
    ):
        assert part in message


# -- fetching


@pytest.fixture
def server(tmp_path):
    """A folder that a web server of this machine serves, and its address and requests."""
    served = tmp_path / "served"
    served.mkdir()
    requests = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            requests.append(f"{self.command} {self.path}")

    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(served)))
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served, f"http://127.0.0.1:{web.server_port}", requests
    web.shutdown()
    thread.join()
    web.server_close()


@pytest.fixture
def archives(server, tmp_path):
    """Archives as Stanford has them, small; the hash of extra is unknown."""
    served, address, _ = server
    found = {}
    for split in ("train", "test", "extra"):
        folder = write_split(tmp_path / "packed" / split)
        (folder / "see_bboxes.m").write_text("% shows the boxes")
        with tarfile.open(served / f"{split}.tar.gz", "w:gz") as tar:
            tar.add(folder, split)
        sha256 = hashlib.sha256((served / f"{split}.tar.gz").read_bytes()).hexdigest() if split != "extra" else None
        found[split] = Archive(f"{address}/{split}.tar.gz", sha256, IMAGES, SHOWN)
    return found


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data"


def assert_no_litter(root, *splits):
    assert {path.name for path in (root / "SVHN").iterdir()} == {".lock", *splits}


def test_what_is_fetched_is_what_was_packed(archives, root, server):
    download(root, ["train", "extra"], archives)
    for split in ("train", "extra"):
        assert [item.labels for item in read_all(svhn_folders(root, [split])[split])] == DIGITS
    assert_no_litter(root, "train", "extra")
    assert any("GET /train.tar.gz" in request for request in server[2])


def test_what_is_there_is_not_fetched_again(archives, root, server):
    download(root, ["train"], archives)
    server[2].clear()
    download(root, ["train"], archives)
    assert server[2] == []


def test_litter_of_a_killed_download_is_removed(archives, root):
    stale = root / "SVHN" / "train.partial" / "train"
    stale.mkdir(parents=True)
    (stale / "1.png").write_bytes(b"half")
    download(root, ["train"], archives)
    assert_no_litter(root, "train")


def test_other_archive_than_the_published_one_is_refused(archives, root):
    other = archives["train"]._replace(sha256="0" * 64)
    with pytest.raises(ValueError, match=rf"train\.tar\.gz.*expected SHA-256 {'0' * 64}, got {archives['train'].sha256}"):
        download(root, ["train"], {"train": other})
    assert_no_litter(root)


def test_absent_archive_is_a_connection_error_that_says_what_to_do(archives, root):
    gone = archives["train"]._replace(url=archives["train"].url.replace("train", "gone"))
    with pytest.raises(ConnectionError, match=rf"gone\.tar\.gz could not be fetched: .*404.*tar -xzf .* -C {root / 'SVHN'}"):
        download(root, ["train"], {"train": gone})
    assert_no_litter(root)


def test_no_server_is_a_connection_error(root):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nowhere = Archive(f"http://127.0.0.1:{port}/train.tar.gz", None, 1, 1)
    with pytest.raises(ConnectionError, match=r"could not be fetched.*elsewhere"):
        download(root, ["train"], {"train": nowhere})
    assert_no_litter(root)


def served_as(archive, file, content):
    file.write_bytes(content)
    return {"extra": archive._replace(url=archive.url.replace("extra.tar.gz", file.name))}


@pytest.mark.parametrize("how", ["truncated", "flipped", "no archive", "another gzip"])
def test_damaged_archive_is_refused(archives, root, server, how):
    content = (server[0] / "extra.tar.gz").read_bytes()
    broken = {
        "truncated": content[: len(content) // 2],
        "flipped": content[:1000] + bytes([content[1000] ^ 255]) + content[1001:],
        "no archive": b"<html></html>",
        "another gzip": gzip.compress(b"hello"),
    }[how]
    with pytest.raises(ValueError, match=r"broken\.tar\.gz could not be unpacked"):
        download(root, ["extra"], served_as(archives["extra"], server[0] / "broken.tar.gz", broken))
    assert_no_litter(root)


def packed(*members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    return stream.getvalue()


@pytest.mark.parametrize(
    "member",
    [
        ("../../../escaped", tarfile.REGTYPE, ""),
        ("extra/link", tarfile.SYMTYPE, "../../../../escaped"),
        ("extra/hard", tarfile.LNKTYPE, "../../../escaped"),
        ("extra/device", tarfile.CHRTYPE, ""),
    ],
    ids=["above", "symbolic link", "hard link", "device"],
)
def test_archive_that_escapes_is_refused(archives, root, server, member):
    with pytest.raises(ValueError, match=r"bad\.tar\.gz could not be unpacked"):
        download(root, ["extra"], served_as(archives["extra"], server[0] / "bad.tar.gz", packed(member)))
    assert_no_litter(root)
    assert not list(root.parent.rglob("escaped"))


def test_archive_without_the_boxes_is_refused(archives, root, server):
    content = packed(("extra/1.png", tarfile.REGTYPE, ""))
    with pytest.raises(ValueError, match=r"expected extra/digitStruct\.mat in .*bad\.tar\.gz"):
        download(root, ["extra"], served_as(archives["extra"], server[0] / "bad.tar.gz", content))
    assert_no_litter(root)


@pytest.mark.parametrize("counts", [{"images": IMAGES + 1}, {"digits": SHOWN - 1}])
def test_archive_without_a_known_hash_is_counted(archives, root, counts):
    with pytest.raises(ValueError, match=rf"got {IMAGES} of {SHOWN}"):
        download(root, ["extra"], {"extra": archives["extra"]._replace(**counts)})
    assert_no_litter(root)


def test_folder_without_the_boxes_is_not_overwritten(archives, root):
    mine = root / "SVHN" / "train" / "mine.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"SVHN/train has no digitStruct\.mat"):
        download(root, ["train"], archives)
    assert mine.read_bytes() == b"mine"


def test_published_archives_are_known():
    assert {split: (a.images, a.digits) for split, a in ARCHIVES.items()} == {
        "train": (33_402, 73_257),
        "test": (13_068, 26_032),
        "extra": (202_353, 531_131),
    }


def test_png_with_any_flipped_bit_is_refused(tmp_path):
    """Decoding alone would take some of them for other pictures: it leaves the checksums out."""
    file = tmp_path / "1.png"
    draw = np.random.default_rng(0)
    Image.fromarray(draw.integers(0, 256, (30, 40, 3), np.uint8)).save(file)
    sound = file.read_bytes()
    read_crop(file, 16)
    for at in draw.integers(33, len(sound), 60):  # from the end of the header on
        damaged = bytearray(sound)
        damaged[at] ^= 1 << int(draw.integers(8))
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"1\.png is not an image that can be read"):
            read_crop(file, 16)


def test_name_of_something_else_than_a_file_is_refused(tmp_path):
    """A pipe would be waited for without end."""
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match=r"pipe\.png is not an image .* no regular file"):
        read_crop(tmp_path / "pipe.png", 8)


def test_photograph_is_read_as_its_camera_was_held(tmp_path):
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:, 15:] = 255  # bright at the right
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter to the right
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif)
    (job,) = whole_images(tmp_path, 8)
    upright = job().image.mean(0)
    assert upright[6:].min() > 200
    assert upright[:2].max() < 50
