"""The cache: whole or not there, noticed where it is damaged, built once."""

import hashlib
import json
import logging
import multiprocessing
import os
import random
import shutil
import signal
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from stn_lightning.data import _content, _image_cache
from stn_lightning.data._image_cache import Item, build, short_hash

COUNT = 40
KEY = {"source": "abc", "side": 6}
LABELS = [(1,), (0, 9), (5, 5, 5), (1, 2, 3, 4, 5, 6)]
FILES = ["images.bin", "labels.bin", "moments.bin", "names.json", "manifest.json"]
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["stn_lightning.data"])


def picture(number):
    return np.random.default_rng(number).integers(0, 256, (3, 6, 6), np.uint8)


def item(number):
    return Item(picture(number), LABELS[number % 4], f"{number}\u00e9.png")


def jobs(count=COUNT):
    return [partial(item, number) for number in range(count)]


def assert_right(cache):
    expected = np.stack([picture(number) for number in range(COUNT)])
    assert (cache.images.numpy() == expected).all()
    rows = [[digit for digit in row if digit >= 0] for row in cache.labels.tolist()]
    assert rows == [list(LABELS[number % 4]) for number in range(COUNT)]
    assert cache.names == [f"{number}\u00e9.png" for number in range(COUNT)]
    assert (cache.moments[:, 0].numpy() == expected.sum((2, 3), dtype=np.int64)).all()
    assert (cache.moments[:, 1].numpy() == (expected.astype(np.int64) ** 2).sum((2, 3))).all()


def assert_tidy(folder):
    """One cache and the lock; no other file."""
    caches = [path for path in folder.iterdir() if path.name != ".lock"]
    assert len(caches) == 1
    assert {path.name for path in caches[0].iterdir()} == set(FILES)


def place(folder):
    (found,) = (path for path in folder.iterdir() if path.is_dir())
    return found


def never():
    raise AssertionError("nothing is to be built")


@pytest.fixture
def built(tmp_path):
    build(tmp_path, KEY, jobs)
    return tmp_path


@pytest.fixture
def new_process(monkeypatch):
    """As if nothing had been checked in this process."""
    return lambda: monkeypatch.setattr(_image_cache, "_checked", set())


def test_cache_holds_what_was_given(tmp_path):
    cache = build(tmp_path, KEY, jobs)
    assert_right(cache)
    assert (cache.images.dtype, cache.labels.dtype, cache.labels.shape) == (torch.uint8, torch.int64, (COUNT, 6))
    assert_tidy(tmp_path)


def test_cache_is_not_built_twice(built, new_process):
    new_process()
    assert_right(build(built, KEY, never))


def test_other_key_is_another_cache(built):
    other = build(built, {**KEY, "side": 7}, lambda: jobs(3))
    assert len(other.images) == 3
    assert_right(build(built, KEY, never))


def test_short_hash_is_of_the_content_alone():
    assert short_hash({"a": 1, "b": (2, 3)}) == short_hash({"b": [2, 3], "a": 1})
    assert len({short_hash({"a": value}) for value in (1, 2, "1", 1.5, [1], None)}) == 6


def test_images_are_pages_of_the_file_and_writing_does_not_reach_it(built, new_process):
    cache = build(built, KEY, never)
    cache.images.zero_()
    new_process()
    assert_right(build(built, KEY, never))


def flip(file, position):
    content = bytearray(file.read_bytes())
    content[position % len(content)] ^= 1 << position % 8
    file.write_bytes(content)


DAMAGE = {
    "first byte": lambda file: flip(file, 0),
    "middle byte": lambda file: flip(file, file.stat().st_size // 2),
    "last byte": lambda file: flip(file, file.stat().st_size - 1),
    "truncated": lambda file: os.truncate(file, file.stat().st_size - 1),
    "empty": lambda file: os.truncate(file, 0),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b"\0"),
    "missing": lambda file: file.unlink(),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", DAMAGE)
def test_damage_is_said_in_a_line_and_mended(built, name, how, caplog, new_process):
    new_process()
    DAMAGE[how](place(built) / name)
    with caplog.at_level(logging.WARNING):
        assert_right(build(built, KEY, jobs))
    (record,) = caplog.records
    assert str(place(built)) in record.getMessage()
    assert "built anew" in record.getMessage()
    assert "\n" not in record.getMessage()
    assert_tidy(built)


def test_damage_that_keeps_size_and_time_is_noticed_by_the_next_process(built, new_process, caplog):
    file = place(built) / "images.bin"
    times = file.stat()
    flip(file, 1000)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    new_process()
    assert_right(build(built, KEY, jobs))
    assert "images.bin is not what was written" in caplog.text


def test_no_flipped_byte_of_the_manifest_gives_other_content(built, new_process):
    whole = (place(built) / "manifest.json").read_bytes()
    for position in range(0, len(whole), 23):
        flip(place(built) / "manifest.json", position)
        new_process()
        assert_right(build(built, KEY, jobs))
        (place(built) / "manifest.json").write_bytes(whole)


def test_content_is_read_once_in_a_process(built, new_process, monkeypatch):
    new_process()
    read = []
    monkeypatch.setattr(_image_cache, "digests", lambda file: read.append(file.name) or _content.digests(file))
    for _ in range(3):
        build(built, KEY, never)
    assert sorted(read) == sorted(FILES[:4])


def test_content_is_not_read_where_it_is_not_asked_for(built, new_process, monkeypatch):
    new_process()
    monkeypatch.setattr(_image_cache, "digests", never)
    assert_right(build(built, KEY, never, check=False))


def test_cache_of_another_key_in_its_place_is_noticed(built, new_process):
    other = {**KEY, "side": 7}
    build(built, other, lambda: jobs(3))
    (short,) = (path for path in built.iterdir() if path.is_dir() and (path / "images.bin").stat().st_size == 3 * 108)
    (whole,) = (path for path in built.iterdir() if path.is_dir() and path != short)
    shutil.rmtree(whole)
    short.rename(whole)
    new_process()
    assert_right(build(built, KEY, jobs))


def test_names_that_are_fewer_than_images_are_noticed_without_reading_the_images(built):
    (place(built) / "names.json").write_text(json.dumps(["1.png"]))
    assert_right(build(built, KEY, jobs, check=False))


def test_failing_job_leaves_nothing(tmp_path):
    def fail():
        raise ValueError("image 7 is damaged")

    with pytest.raises(ValueError, match="image 7 is damaged"):
        build(tmp_path, KEY, lambda: [*jobs(7), fail, *jobs()])
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    assert_right(build(tmp_path, KEY, jobs))


def test_images_of_two_shapes_are_refused(tmp_path):
    other = Item(np.zeros((3, 6, 7), np.uint8), (1,), "other.png")
    with pytest.raises(ValueError, match=r"\(3, 6, 6\) and then \(3, 6, 7\) \(other.png\)"):
        build(tmp_path, KEY, lambda: [*jobs(), lambda: other])


def test_no_image_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one image, got none"):
        build(tmp_path, KEY, list)


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def build_and_die(folder, moment, number):
    """Builds until the given call of a function of the build, which kills this process."""
    work = jobs()
    if moment == "image":
        work[number] = die
    else:
        calls = iter(range(100))
        place, name = {"sync": (_image_cache, "sync"), "rename": (Path, "rename"), "remove": (shutil, "rmtree")}[moment]
        function = getattr(place, name)
        setattr(place, name, lambda *given, **options: (next(calls) == number and die()) or function(*given, **options))
    build(folder, KEY, lambda: work)


# the files are synchronised, then their folder, then, after the renaming, its folder
MOMENTS = [*(("image", n) for n in (0, 17, COUNT - 1)), *(("sync", n) for n in range(7)), ("rename", 0), ("remove", 0)]


@pytest.mark.parametrize(("moment", "number"), MOMENTS, ids=[f"{moment} {number}" for moment, number in MOMENTS])
def test_killed_build_costs_time_alone(tmp_path, moment, number):
    process = PROCESSES.Process(target=build_and_die, args=(tmp_path, moment, number))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert_right(build(tmp_path, KEY, jobs))
    assert_tidy(tmp_path)


@pytest.mark.parametrize("moment", [("image", 5), ("rename", 0), ("remove", 0), ("sync", 6)])
def test_killed_mending_costs_time_alone(built, moment, new_process):
    flip(place(built) / "labels.bin", 3)
    process = PROCESSES.Process(target=build_and_die, args=(built, *moment))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    new_process()
    assert_right(build(built, KEY, jobs))
    assert_tidy(built)


def test_litter_of_a_killed_build_is_removed_by_one_of_another_key(tmp_path):
    process = PROCESSES.Process(target=build_and_die, args=(tmp_path, "image", 3))
    process.start()
    process.join(60)
    assert list(tmp_path.glob("*.partial"))
    build(tmp_path, {"another": "key"}, jobs)
    assert_tidy(tmp_path)


def slow_item(number, diary):
    with diary.open("a") as stream:
        stream.write("x")
    time.sleep(0.01)
    return item(number)


def build_with_others(folder, diary, barrier):
    barrier.wait()
    assert_right(build(folder, KEY, lambda: [partial(slow_item, number, diary) for number in range(COUNT)]))


def test_processes_that_start_at_once_build_once(tmp_path):
    diary, barrier = tmp_path / "diary", PROCESSES.Barrier(3)
    processes = [PROCESSES.Process(target=build_with_others, args=(tmp_path / "cache", diary, barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert diary.read_text() == "x" * COUNT
    assert_tidy(tmp_path / "cache")


def test_manifest_is_plain_and_says_what_the_cache_is_of(built):
    manifest = json.loads((place(built) / "manifest.json").read_text())
    assert manifest["shape"] == [COUNT, 3, 6, 6]
    assert manifest["key"].items() >= KEY.items()
    content = (place(built) / "images.bin").read_bytes()
    assert manifest["files"]["images.bin"] == [hashlib.sha256(content).hexdigest()]


def test_digests_are_those_of_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(_content, "BLOCK", 1000)
    monkeypatch.setattr(_content, "PIECE", 300)
    content = random.Random(0).randbytes(5500)
    (tmp_path / "file").write_bytes(content)
    expected = [hashlib.sha256(content[start : start + 1000]).hexdigest() for start in range(0, 5500, 1000)]
    assert _content.digests(tmp_path / "file") == expected


def test_results_come_in_order_and_few_wait():
    done, most, taken, lock = 0, 0, 0, threading.Lock()

    def job(number):
        nonlocal done, most
        time.sleep(random.Random(number).uniform(0, 0.003))
        with lock:
            done += 1
            most = max(most, done - taken)
        return number

    results = []
    for result in _content.in_order([partial(job, number) for number in range(400)]):
        with lock:
            taken += 1
        results.append(result)
    assert results == list(range(400))
    assert most <= 4 * _content.THREADS + 2


def test_jobs_behind_a_failing_one_are_given_up():
    begun = []

    def job(number):
        begun.append(number)
        if number == 3:
            raise ValueError("three")

    with pytest.raises(ValueError, match="three"):
        list(_content.in_order([partial(job, number) for number in range(10_000)]))
    assert len(begun) < 1000


@pytest.mark.parametrize("text", ["[" * 100_000, '{"shape": [2, 3, 4, 1e400]}'], ids=["nested", "infinite"])
def test_manifest_that_breaks_its_reader_is_damage(built, new_process, text):
    (place(built) / "manifest.json").write_text(text)
    new_process()
    assert_right(build(built, KEY, jobs))


def test_file_in_the_place_of_a_cache_gives_way(tmp_path):
    build(tmp_path, KEY, jobs)
    taken = place(tmp_path)
    shutil.rmtree(taken)
    taken.write_text("none of ours")
    assert_right(build(tmp_path, KEY, jobs))
