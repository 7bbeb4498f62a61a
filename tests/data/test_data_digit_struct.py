"""digitStruct.mat: written as MATLAB does, read by public readers' code, and read carefully."""

import gzip
import json
import os
import resource
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from stn_lightning.data._svhn.digit_struct import Box, HouseNumber, read_digit_struct, write_digit_struct

ANNOTATIONS = Path(__file__).parents[3] / "shared" / "data" / "svhn" / "annotations.json.gz"
ONE = HouseNumber("1.png", (Box(7, 3.0, 4.0, 8.0, 21.0),))
TWO = HouseNumber("2.png", (Box(0, -2.0, 1.5, 9.0, 20.0), Box(5, 6.0, 2.0, 10.25, 20.0)))
NUMBERS = [ONE, TWO, ONE._replace(name="3.png")]


@pytest.fixture(scope="session")
def real_numbers():
    if not ANNOTATIONS.is_file():
        pytest.skip(f"needs SVHN's bounding boxes in {ANNOTATIONS}")
    with gzip.open(ANNOTATIONS) as file:
        splits = json.load(file)
    return {
        split: [
            HouseNumber(name, tuple(Box(int(label) % 10, x0, y0, x1 - x0, y1 - y0) for label, x0, y0, x1, y1 in boxes))
            for name, _, _, boxes in rows
        ]
        for split, rows in splits.items()
    }


@pytest.fixture
def written(tmp_path):
    file = tmp_path / "digitStruct.mat"
    write_digit_struct(file, NUMBERS)
    return file


@contextmanager
def digit_struct(file):
    """The open file, and the bbox group of each number."""
    with h5py.File(file, "r+") as handle:
        yield handle, [handle[reference] for reference in handle["digitStruct/bbox"][:, 0]]


def public_reader(file):
    """The way that published SVHN code reads: high-level h5py, index by index."""
    with h5py.File(file, "r") as f:
        names, bboxes = f["digitStruct/name"], f["digitStruct/bbox"]
        for i in range(len(names)):
            name = "".join(chr(c[0]) for c in f[names[i][0]][()])
            group = f[bboxes[i].item()]
            columns = []
            for key in ("label", "left", "top", "width", "height"):
                attr = group[key]
                columns.append([f[attr[j].item()][0][0] for j in range(len(attr))] if len(attr) > 1 else [attr[0][0]])
            yield name, list(zip(*columns, strict=True))


def test_real_numbers_come_back_exactly(real_numbers, tmp_path):
    """An eightieth of each set, and every odd one; benchmarks/digit_struct.py does all of them in minutes."""
    assert {split: len(numbers) for split, numbers in real_numbers.items()} == {"train": 33_402, "test": 13_068}
    for split, numbers in real_numbers.items():
        odd = [n for n in numbers if len(n.boxes) > 4 or any(min(box.left, box.top) < 0 for box in n.boxes)]
        chosen = sorted({*numbers[::80], *odd}, key=lambda number: int(number.name[:-4]))
        assert odd
        write_digit_struct(tmp_path / split, chosen)
        assert read_digit_struct(tmp_path / split) == chosen


def test_published_readers_code_reads_it(real_numbers, tmp_path):
    numbers = [*real_numbers["train"][:200], *(n for n in real_numbers["train"] if len(n.boxes) == 6)]
    write_digit_struct(tmp_path / "digitStruct.mat", numbers)
    expected = [(n.name, [(b.digit or 10, b.left, b.top, b.width, b.height) for b in n.boxes]) for n in numbers]
    assert list(public_reader(tmp_path / "digitStruct.mat")) == expected


def test_it_is_a_matlab_file(written):
    """What MATLAB, mat73 and pymatreader go by; scipy recognises the version and reads no 7.3."""
    head = written.read_bytes()[:520]
    assert head[:19] == b"MATLAB 7.3 MAT-file"
    assert head[124:128] == b"\x00\x02IM"
    assert head[512:] == b"\x89HDF\r\n\x1a\n"
    with pytest.raises(NotImplementedError, match=r"v7\.3"):
        scipy.io.loadmat(written)
    with digit_struct(written) as (handle, (one, two, _)):
        top = handle["digitStruct"]
        name = handle[top["name"][0, 0]]
        assert [item.attrs["MATLAB_class"] for item in (top, one, name, one["label"], handle[two["top"][0, 0]])] == [
            *[b"struct"] * 2,
            b"char",
            *[b"double"] * 2,
        ]
        assert name.attrs["MATLAB_int_decode"] == 2
        assert name.dtype == np.uint16
        assert "MATLAB_class" not in top["bbox"].attrs  # a field of an array of structs has none
        assert handle["#refs#"][handle[top["bbox"][0, 0]].name] == one


def test_the_same_numbers_give_the_same_bytes(written, tmp_path):
    write_digit_struct(tmp_path / "again", NUMBERS)
    assert (tmp_path / "again").read_bytes() == written.read_bytes()


def test_chunked_and_compressed_references_are_read(written):
    """MATLAB compresses large arrays."""
    with h5py.File(written, "r+") as handle:
        for field in ("name", "bbox"):
            values = handle["digitStruct"][field][()]
            del handle["digitStruct"][field]
            handle["digitStruct"].create_dataset(field, data=values, dtype=h5py.ref_dtype, chunks=(2, 1), compression="gzip")
    assert read_digit_struct(written) == NUMBERS


def test_label_0_is_the_digit_0_as_label_10_is(written):
    with digit_struct(written) as (handle, (one, two, _)):
        one["label"][...] = 0
        assert handle[two["label"][0, 0]][0, 0] == 10
    assert [number.boxes[0].digit for number in read_digit_struct(written)] == [0, 0, 7]


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("label", 11, "label 0 to 10.*got 11"),
        ("label", -1, "label 0 to 10.*got -1"),
        ("label", 2.5, r"label 0 to 10.*got 2\.5"),
        ("label", np.nan, "label 0 to 10.*got nan"),
        ("left", np.nan, "finite"),
        ("top", np.inf, "finite"),
        ("width", 0, "positive width and height, got 0x21"),
        ("height", -3, "positive width and height, got 8x-3"),
    ],
)
def test_impossible_box_names_file_and_item(written, field, value, says):
    with digit_struct(written) as (_, (_, _, third)):
        third[field][...] = value
    with pytest.raises(ValueError, match=rf"digitStruct\.mat: item 3 of 3 \(3\.png\): expected.*{says}"):
        read_digit_struct(written)


def replace(group, field, data, **options):
    del group[field]
    group.create_dataset(field, data=data, **options)


def elsewhere(folder):
    with h5py.File(folder / "other.h5", "w") as other:
        other["number"] = np.ones((1, 1))
    return folder / "other.h5"


def soft_link(handle, group, folder):
    del group["top"]
    group["top"] = h5py.SoftLink(f"{group.name}/left")


def external_link(handle, group, folder):
    del group["top"]
    group["top"] = h5py.ExternalLink(str(elsewhere(folder)), "/number")


def external_storage(handle, group, folder):
    (folder / "raw").write_bytes(np.ones(1).tobytes())
    del group["top"]
    group.create_dataset("top", (1, 1), "f8", external=[(str(folder / "raw"), 0, 8)])


def virtual_dataset(handle, group, folder):
    layout = h5py.VirtualLayout((1, 1), "f8")
    layout[:] = h5py.VirtualSource(str(elsewhere(folder)), "number", (1, 1))
    del group["top"]
    group.create_virtual_dataset("top", layout)


def huge_chunk(handle, group, folder):
    del group["top"]
    group.create_dataset("top", (1, 1), "f8", maxshape=(None, 1), chunks=(2**28, 1))


def null_references(handle, group, folder):
    del group["top"]
    group.create_dataset("top", (2, 1), h5py.ref_dtype)


def references(handle, *targets):
    return np.array([[target.ref] for target in targets], h5py.ref_dtype)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (soft_link, "link to elsewhere"),
        (external_link, "link to elsewhere"),
        (external_storage, "another file"),
        (virtual_dataset, "another file"),
        (huge_chunk, "chunks"),
        (lambda handle, group, _: group.pop("top"), "no top"),
        (lambda handle, group, _: replace(group, "top", np.ones((2, 1))), ""),
        (lambda handle, group, _: replace(group, "top", np.ones((0, 1))), ""),
        (lambda handle, group, _: replace(group, "top", np.ones((1000, 1000))), ""),
        (lambda handle, group, _: replace(group, "top", h5py.Empty("f8")), ""),
        (lambda handle, group, _: replace(group, "top", "text"), ""),
        (lambda handle, group, _: replace(group, "top", references(handle, group, group)), "reference to a dataset"),
        (lambda handle, group, _: replace(group, "top", references(handle, *[group["left"]] * 2)), "fields of one length"),
        (lambda handle, group, _: replace(group, "top", references(handle, *[group["left"]] * 101)), "1 to 100"),
        (null_references, ""),
    ],
)
def test_damaged_field_names_file_and_item(written, tmp_path, damage, says):
    with digit_struct(written) as (handle, (one, _, _)):
        damage(handle, one, tmp_path)
    with pytest.raises(ValueError, match=rf"digitStruct\.mat: item 1 of 3 \(1\.png\): .*{says}"):
        read_digit_struct(written)


@pytest.mark.parametrize(
    "name", ["../1.png", "a/b.png", "a\\b.png", "..", ".", "", "a\0.png", "a\n.png", "C:1.png", "1" * 256, "\ud800.png"]
)
def test_name_that_is_no_plain_file_name_is_refused(written, tmp_path, name):
    with pytest.raises(ValueError, match=r"other\.mat: item 1 of 1 .*plain file name"):
        write_digit_struct(tmp_path / "other.mat", [ONE._replace(name=name)])
    characters = np.frombuffer(name.encode("utf-16-le", "surrogatepass"), "<u2").reshape(-1, 1)
    with h5py.File(written, "r+") as handle:
        handle["longer"] = characters
        handle["digitStruct/name"][1] = handle["longer"].ref
    with pytest.raises(ValueError, match=r"digitStruct\.mat: item 2 of 3: its name cannot be read"):
        read_digit_struct(written)


def test_names_and_boxes_of_different_numbers_are_refused(written):
    with h5py.File(written, "r+") as handle:
        replace(handle["digitStruct"], "name", handle["digitStruct/name"][:2], dtype=h5py.ref_dtype)
    with pytest.raises(ValueError, match=r"digitStruct\.mat: .*2 names and 3 bboxes"):
        read_digit_struct(written)


def test_more_numbers_than_the_file_can_hold_are_refused(written):
    with h5py.File(written, "r+") as handle:
        del handle["digitStruct/name"]
        handle["digitStruct"].create_dataset("name", (10**12, 1), h5py.ref_dtype, chunks=(1024, 1))
    with pytest.raises(ValueError, match=r"digitStruct\.mat: .*\(1000000000000, 1\)"):
        read_digit_struct(written)


def test_truncated_file_is_named(written):
    whole = written.read_bytes()
    for size in (0, 100, 511, 512, 600, 2000, len(whole) // 2, len(whole) - 1):
        written.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=rf"digitStruct\.mat \({size} bytes\) is truncated or not a MATLAB 7\.3 file"):
            read_digit_struct(written)


def test_foreign_file_is_named(tmp_path):
    scipy.io.savemat(tmp_path / "digitStruct.mat", {"digitStruct": {"name": "1.png"}})
    with pytest.raises(ValueError, match=r"digitStruct\.mat .*not a MATLAB 7\.3 file"):
        read_digit_struct(tmp_path / "digitStruct.mat")
    with pytest.raises(ValueError, match=r"other\.h5: expected /digitStruct.*there is no digitStruct"):
        read_digit_struct(elsewhere(tmp_path))
    with pytest.raises(FileNotFoundError, match="absent"):
        read_digit_struct(tmp_path / "absent.mat")


def test_flipped_bytes_never_give_impossible_numbers(written):
    whole = written.read_bytes()
    draw = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        damaged = bytearray(whole)
        for at in draw.integers(512, len(whole), 4):
            damaged[at] ^= 1 << int(draw.integers(8))
        written.write_bytes(damaged)
        try:
            numbers = read_digit_struct(written)
        except ValueError as e:
            assert "digitStruct.mat" in str(e)  # noqa: PT017
            refused += 1
            continue
        assert len(numbers) == 3
        assert all(box.digit in range(10) and box.width > 0 and box.height > 0 for n in numbers for box in n.boxes)
    assert refused > 100


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ([], "at least one"),
        ([ONE, TWO._replace(boxes=())], r"item 2 of 2 \('2\.png'\): expected 1 to 100 digits, got 0"),
        ([TWO._replace(boxes=ONE.boxes * 101)], "1 to 100 digits, got 101"),
        ([ONE._replace(boxes=(Box(10, 1, 1, 1, 1),))], "digit 0 to 9.*got 10"),
        ([ONE._replace(boxes=(Box(1, 1, 1, 1, 0),))], "positive width and height"),
        ([ONE._replace(boxes=(Box(1, float("nan"), 1, 1, 1),))], "finite"),
    ],
)
def test_writer_refuses_what_the_reader_would(written, numbers, says):
    before = written.read_bytes()
    with pytest.raises(ValueError, match=rf"digitStruct\.mat: .*{says}"):
        write_digit_struct(written, numbers)
    assert written.read_bytes() == before


def write_on_a_full_disk(file, limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        write_digit_struct(file, NUMBERS * 20)
    except (OSError, RuntimeError):
        os._exit(3)


def test_full_disk_leaves_the_old_file_whole(written):
    before = written.read_bytes()
    process = get_context("fork").Process(target=write_on_a_full_disk, args=(written, len(before) + 5000))
    process.start()
    process.join()
    assert process.exitcode == 3
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == ["digitStruct.mat"]
