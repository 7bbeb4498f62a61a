"""The command with real runs: stopped, gone on with, repeated, written into a page."""

import os
import signal
import threading
from pathlib import Path
from time import monotonic, sleep
from types import SimpleNamespace

import pytest

from stn_lightning.reproducing import read_lines

ASKED = ("reproduce", "tiny.yaml", "--rows", "CNN", "--seeds", "1", "--jobs", "1")
RESULTS = "runs/reproduce/tiny/results.jsonl"


def stop_when_trained(folder):
    """SIGTERM to this process, once there is a checkpoint."""

    def wait():
        give_up = monotonic() + 200
        while not list(folder.rglob("last.ckpt")) and monotonic() < give_up:
            sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


@pytest.fixture(scope="module")
def ran(tmp_path_factory, stn_in, write_table):
    """What the command did when it was stopped, when it went on, and when all was done; the folder."""
    folder = tmp_path_factory.mktemp("ran")
    write_table(folder)
    stop_when_trained(folder)
    stopped = stn_in(folder, *ASKED)
    left = {path.name for path in folder.rglob("*") if path.suffix in (".ckpt", ".jsonl")}
    went_on = stn_in(folder, *ASKED)
    return SimpleNamespace(folder=folder, stopped=stopped, left=left, went_on=went_on, again=stn_in(folder, *ASKED))


def test_stopped_runner_stops_its_runs_with_a_checkpoint(ran):
    assert ran.stopped.code == 128 + signal.SIGTERM, ran.stopped.out
    assert "SIGTERM: stopped; the same command goes on" in ran.stopped.out
    assert ran.left == {"best.ckpt", "last.ckpt"}
    (log,) = ran.folder.rglob("log.txt")
    assert log.read_text().count("Asked to end: stopped after step ") == 1


def test_it_goes_on_and_leaves_a_line_of_all_that_made_the_number(ran):
    assert ran.went_on.code == 0, ran.went_on.out + ran.went_on.err
    assert "goes on  CNN / plain, fast, seed 0: stn fit -c experiment.yaml -c recipe.yaml" in ran.went_on.out
    (line,) = read_lines(ran.folder / RESULTS)
    assert (line["table"], line["row"], line["column"], line["recipe"], line["seed"]) == ("tiny", "CNN", "plain", "fast", 0)
    assert line["config"]["data"]["init_args"]["batch_size"] == 256
    assert (line["config"]["ckpt_path"], line["config"]["seed_everything"]) == (None, 0)
    assert line["config"]["model"]["init_args"]["transform"] is None
    assert line["config"]["trainer"]["default_root_dir"] is None  # it is of this machine
    assert line["steps"] % 40 == 0 < line["steps"]
    assert 0 <= line["best_epoch"] < 40
    assert 0 <= line["validation"]["val/error"] <= 1
    assert 0 < line["test"]["test/error"] < 0.9
    assert (line["device"], line["parameters"] > 1000, line["seconds"] > 0) == ("1 x cpu", True, True)
    assert f"CNN / plain, fast, seed 0: test/error {100 * line['test']['test/error']:.2f} %" in ran.went_on.out
    assert (ran.folder / "runs/reproduce/tiny/table.md").read_text() in ran.went_on.out


def test_what_is_done_is_not_run_again(ran):
    assert ran.again.code == 0
    assert "done     CNN / plain, fast, seed 0" in ran.again.out
    (log,) = ran.folder.rglob("log.txt")
    assert log.read_text().count("Seed set to 0") == 3  # fit, fit that goes on, test


def test_repeated_run_has_the_same_error_as_the_one_that_was_stopped(ran, stn_in):
    done = stn_in(ran.folder, "reproduce", "--again", f"{RESULTS}:1")
    assert done.code == 0, done.out + done.err
    assert done.out.rstrip().endswith(": the same")


def test_line_that_is_not_there_is_refused(ran, stn_in):
    assert (
        f"expected FILE:LINE, of which FILE has 1 lines, got {RESULTS}:2"
        in stn_in(ran.folder, "reproduce", "--again", f"{RESULTS}:2").message
    )


def test_page_has_the_table_its_picture_and_the_lines(ran, stn_in):
    page = ran.folder / "page.md"
    page.write_text("# Page\n\n<!-- table tiny -->\n<!-- end of table -->\n\nrest\n")
    done = stn_in(ran.folder, "reproduce", "tiny.yaml", "--seeds", "0", "--write", "page.md")
    assert done.code == 0, done.err
    table = (ran.folder / "runs/reproduce/tiny/table.md").read_text().replace("(table.png)", "(page/tiny.png)")
    assert page.read_text() == f"# Page\n\n<!-- table tiny -->\n\n{table}\n<!-- end of table -->\n\nrest\n"
    assert read_lines(ran.folder / "page" / "tiny.jsonl") == read_lines(ran.folder / RESULTS)
    assert (ran.folder / "page" / "tiny.png").read_bytes() == Path(ran.folder, "runs/reproduce/tiny/table.png").read_bytes()
