"""Runs as processes: where they run, how they fail, and who may run them. Other programs stand in for `stn fit`."""

import os
import signal
import sys
from multiprocessing import get_context
from pathlib import Path
from time import monotonic, sleep

import pytest

from stn_lightning.reproducing import Pool, Slot, _process, _stages, only_one


@pytest.fixture
def stand_in(monkeypatch):
    return lambda source: monkeypatch.setattr(_stages, "STN", [sys.executable, "-c", source])


def test_process_has_the_device_and_the_threads_of_its_place(stand_in, jobs, tmp_path):
    stand_in("import os; print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['OMP_NUM_THREADS'])")
    said = []
    with only_one(tmp_path / "out") as lock:
        pool = Pool([Slot("7", 3), Slot("8", 3)], lock, said.append, lambda job: None)
        failed = pool.run(jobs[:2])
    assert {(job.folder / "log.txt").read_text() for job in jobs[:2]} == {"7 3\n", "8 3\n"}
    assert [line for line in said if line.endswith("seed 0: fit, GPU 7")]
    assert sorted(job.name for job in failed) == sorted(job.name for job in jobs[:2])
    assert sum("left no summary.json" in line for line in said) == 2


@pytest.mark.parametrize(("given", "expected"), [(None, "0"), ("7", "7")])
def test_process_keeps_the_memory_that_it_has_unless_told_otherwise(given, expected, tmp_path, monkeypatch):
    if given is not None:
        monkeypatch.setenv("MALLOC_MMAP_MAX_", given)
    source = "import os; print(os.environ['MALLOC_MMAP_MAX_'], int(os.environ['MALLOC_TRIM_THRESHOLD_']) > 2**39)"
    with only_one(tmp_path) as lock:
        _process.start([sys.executable, "-c", source], tmp_path / "log.txt", Slot(None, 1), lock).wait(60)
    assert (tmp_path / "log.txt").read_text() == f"{expected} True\n"


def test_run_that_fails_is_named_and_the_others_go_on(stn, stand_in, tmp_path, write_table):
    write_table(tmp_path)
    stand_in("import sys; sys.exit('stn: error: no luck \\x1b[2J' if '--model.transform=null' in sys.argv else 'neither')")
    done = stn("reproduce", "tiny.yaml", "--seeds=1", "--jobs=2")
    assert done.code == 1
    folder = "runs/reproduce/tiny/CNN/plain/fast-"
    (line,) = [line for line in done.out.splitlines() if line.startswith("CNN / plain") and "exit code" in line]
    assert "CNN / plain, fast, seed 0: fit ended with exit code 1: stn: error: no luck \\x1b[2J (all of it: " in line
    assert folder in line
    assert done.out.count("exit code 1: neither") == 2
    assert (tmp_path / "runs/reproduce/tiny/table.md").read_text().count("not run") == 3


def test_two_runners_exclude_each_other(stn, stand_in, tmp_path, write_table, monkeypatch):
    write_table(tmp_path)
    stand_in("")
    monkeypatch.setattr(_process, "PATIENCE", 0.3)
    with only_one(tmp_path / "runs" / "reproduce" / "tiny"):
        said = stn("reproduce", "tiny.yaml").message
    assert "runs/reproduce/tiny is in use by another `stn reproduce`, or by a run that one left" in said
    assert not list(tmp_path.rglob("log.txt"))


def test_process_that_outlives_its_runner_keeps_the_lock(tmp_path, monkeypatch):
    monkeypatch.setattr(_process, "PATIENCE", 0.3)
    with only_one(tmp_path) as lock:
        process = _process.start([sys.executable, "-c", "input()"], tmp_path / "log.txt", Slot(None, 1), lock)
        process.wait(60)  # its stdin is empty
        process = _process.start(
            [sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log.txt", Slot(None, 1), lock
        )
    try:
        with pytest.raises(ValueError, match="is in use"), only_one(tmp_path):
            pass
    finally:
        process.kill()
        process.wait()
    with only_one(tmp_path):
        pass


TOLD = """
import signal, sys, time
from pathlib import Path

def stop(*_):
    Path("told").touch()
    sys.exit(143)

signal.signal(signal.SIGTERM, stop)
Path("ready").touch()
time.sleep(60)
"""


def wait_for(file):
    give_up = monotonic() + 60
    while not Path(file).exists() and monotonic() < give_up:
        sleep(0.01)
    return Path(file).exists()


def start_and_be_killed():
    with only_one(Path("out")) as lock:
        _process.start([sys.executable, "-c", TOLD], Path("log.txt"), Slot(None, 1), lock)
        wait_for("ready")
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a signal at the death of a parent")
def test_runs_of_a_killed_runner_are_asked_to_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = get_context("fork").Process(target=start_and_be_killed)
    runner.start()
    runner.join(60)
    assert runner.exitcode == -signal.SIGKILL
    assert wait_for("told"), Path("log.txt").read_text()
    with only_one(Path("out")):
        pass
