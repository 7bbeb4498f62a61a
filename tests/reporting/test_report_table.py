"""`stn report` on real runs: the table's numbers are those of the runs, and its command repeats them."""

import csv
import io
import json
import shlex
import statistics

import pytest
import torch


def table(done):
    assert done.code in (0, 1), done.err
    return list(csv.DictReader(io.StringIO(done.out)))


def validation_errors(folder, versions):
    """From the logger's own file."""
    found = []
    for version in versions:
        lines = list(csv.DictReader((folder / "runs" / f"version_{version}" / "metrics.csv").open()))
        found.append([float(line["val/error"]) for line in lines if line["val/error"]][-1])
    return found


def test_a_row_is_a_configuration_whatever_its_seeds(trained, stn_in):
    done = stn_in(trained, "report", "runs", "--format=csv")
    assert done.code == 0, done.err
    plain, transformed = table(done)
    assert plain["seeds"] == transformed["seeds"] == "0 1"
    assert plain["configuration"] == "model.transform=null"
    assert transformed["configuration"] == "model.transform=affine"
    for row, versions in ((plain, (0, 2)), (transformed, (1, 3))):
        errors = validation_errors(trained, versions)
        assert float(row["error"]) == pytest.approx(statistics.mean(errors))
        assert float(row["spread"]) == pytest.approx(statistics.stdev(errors))
        assert row["metric"] == "val/error"


def test_parameters_and_steps_are_those_of_the_checkpoint(trained, stn_in):
    for row, version in zip(table(stn_in(trained, "report", "runs", "--format=csv")), (0, 1), strict=True):
        kept = torch.load(trained / f"runs/version_{version}/checkpoints/last.ckpt", weights_only=True)
        count = sum(len(weights.flatten()) for name, weights in kept["state_dict"].items() if name.startswith("network."))
        assert int(row["parameters"]) == count  # FCN has no buffers
        assert float(row["steps"]) == kept["global_step"]
        assert float(row["seconds"]) > 0


def test_its_command_repeats_the_run(trained, copied, stn_in):
    (row, _) = table(stn_in(copied, "report", "runs/version_0", "runs/version_1", "--format=csv"))
    stn, *command = shlex.split(row["command"])
    assert stn == "stn"
    assert stn_in(copied, *command).code == 0
    repeated = json.loads((copied / "runs/version_4/summary.json").read_text())
    first = json.loads((copied / "runs/version_0/summary.json").read_text())
    assert repeated["metrics"] == first["metrics"]
    done = stn_in(copied, "report", "runs", "--format=csv")
    assert done.code == 0
    assert "version_4 repeats it" in done.err
    assert [row["seeds"] for row in table(done)] == ["0 1", "0 1"]


def test_the_error_is_that_of_the_test_where_all_were_tested(copied, stn_in):
    for version in (0, 2):
        test = ("test", "-c", f"runs/version_{version}/config.yaml", "--data.batch_size=64")
        assert stn_in(copied, *test, f"--ckpt_path=runs/version_{version}/checkpoints/best.ckpt").code == 0
    tested = [json.loads((copied / f"runs/version_{n}/summary.json").read_text()) for n in (4, 5)]
    errors = [each["metrics"]["test/error"] for each in tested]
    moved = copied.rename(copied.with_name("moved"))
    plain, transformed = table(stn_in(moved, "report", "runs", "--format=csv"))
    assert plain["metric"] == "test/error (best)"
    assert float(plain["error"]) == pytest.approx(statistics.mean(errors))
    assert transformed["metric"] == "val/error"


def test_a_test_on_other_data_is_another_matter(copied, stn_in):
    options = ("-c", "runs/version_0/config.yaml", "--ckpt_path=runs/version_0/checkpoints/best.ckpt")
    assert stn_in(copied, "test", *options, "--data.evaluation_seed=5").code == 0
    done = stn_in(copied, "report", "runs", "--format=csv")
    assert "version_4: it tests" in done.err
    assert "on other data" in done.err
    assert {row["metric"] for row in table(done)} == {"val/error"}


def test_markdown_and_latex_say_the_same(trained, stn_in, tmp_path):
    errors = [100 * error for error in validation_errors(trained, (0, 2))]
    mean, spread = f"{statistics.mean(errors):.2f}", f"{statistics.stdev(errors):.2f}"
    done = stn_in(trained, "report", "runs")
    head, rule, first, second = done.out.splitlines()
    assert head.count("|") == rule.count("|") == first.count("|") == second.count("|")
    assert f"| {mean} ± {spread} | 2 |" in first
    file = tmp_path / "table.tex"
    assert stn_in(trained, "report", "runs", "--format=latex", f"--output={file}").out == ""
    text = file.read_text()
    assert rf"{mean} $\pm$ {spread} & 2 &" in text
    assert "model.transform=null" in text
    body = text.partition(r"\end{tabular}")[0]
    assert {line.count(" & ") for line in body.splitlines() if line.endswith(r"\\")} == {7}


def test_one_seed_has_no_spread(trained, stn_in):
    (row,) = table(stn_in(trained, "report", "runs/version_1", "--format=csv"))
    assert row["spread"] == ""
    assert row["configuration"] == "runs"
    assert "±" not in stn_in(trained, "report", "runs/version_1").out
