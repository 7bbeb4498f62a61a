"""`stn report` names what it cannot count, and counts the rest."""

import json
import subprocess
import sys

import pytest


def spoil(folder, what):
    run = folder / "runs" / "version_1"
    if what == "unfinished":
        (run / "summary.json").unlink()
    elif what == "cut":
        text = (run / "summary.json").read_text()
        (run / "summary.json").write_text(text[: len(text) // 2])
    elif what == "another":
        (run / "summary.json").write_text(json.dumps({"stage": "fit", "metrics": {"val/error": "low"}}))
    elif what == "yaml":
        (run / "config.yaml").write_text("model: [")
    elif what == "bytes":
        (run / "config.yaml").write_bytes(b"\xff\xfe\x00")
    elif what == "foreign":
        (run / "config.yaml").write_text("learning_rate: 3\n")
    else:
        (run / "config.yaml").unlink()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("unfinished", "did not come to its end"),
        ("cut", "summary.json is damaged"),
        ("another", "summary.json is damaged"),
        ("yaml", "config.yaml is damaged"),
        ("bytes", "config.yaml is damaged"),
        ("foreign", "config.yaml is not of `stn`"),
        ("bare", "it has no config.yaml"),
    ],
)
def test_a_folder_that_is_no_finished_run_is_named(copied, stn_in, what, words):
    spoil(copied, what)
    done = stn_in(copied, "report", "runs", "--format=csv")
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert "runs/version_1: " in line
    assert words in line
    assert [row.partition(",")[0] for row in done.out.splitlines()[1:]] == ["model.transform=null", "model.transform=affine"]


def test_no_run_is_an_error(stn, tmp_path):
    assert "not there" in stn("report", "nowhere").message
    (tmp_path / "empty").mkdir()
    assert "no runs in empty" in stn("report", "empty").message
    (tmp_path / "version_0").mkdir()
    done = stn("report", ".")
    assert done.code == 1
    assert "no finished run" in done.message


def test_an_unknown_format_is_one_line_and_code_2(stn):
    done = stn("report", ".", "--format=html")
    assert done.code == 2
    assert "html" in done.message


def test_an_interrupted_run_is_counted_with_the_one_that_went_on(copied, stn_in, helpers, fit):
    options = ("--data.distortion=R", "--trainer.max_epochs=2")
    callbacks = "--trainer.callbacks+={class_path: stn_test_helpers.Interrupt, init_args: {epoch: 1}}"
    with pytest.raises(AssertionError):
        fit(copied, *options, callbacks)
    assert stn_in(copied, "report", "runs").code == 1
    fit(copied, *options, "--ckpt_path=runs/version_4/checkpoints/last.ckpt")
    done = stn_in(copied, "report", "runs", "--format=csv")
    assert (done.code, done.err) == (0, "")
    row = done.out.splitlines()[-1]
    assert "--ckpt_path=null" in row


def test_seconds_go_on_after_a_resume(copied, fit):
    fit(copied, "--data.distortion=R")
    first = json.loads((copied / "runs/version_4/summary.json").read_text())["seconds"]
    fit(copied, "--data.distortion=R", "--trainer.max_epochs=2", "--ckpt_path=runs/version_4/checkpoints/last.ckpt")
    both = json.loads((copied / "runs/version_5/summary.json").read_text())
    assert both["epochs"] == 2
    assert both["checkpoint"].endswith("runs/version_4/checkpoints/last.ckpt")
    assert both["seconds"] > 0.9 * first


def test_a_report_imports_no_torch(trained):
    code = (
        "import sys; from stn_lightning.__main__ import main\n"
        "try: main(['report', 'runs'])\n"
        "except SystemExit as e: assert not e.code\n"
        "assert not {'torch', 'lightning'} & {*sys.modules}"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=trained, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
