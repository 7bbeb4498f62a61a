"""The plan: which runs, in which folders, on which devices."""

from pathlib import Path

import pytest

from stn_lightning.reproducing import Slot, plan, slots


def test_every_cell_has_a_seed_before_any_has_the_next(jobs):
    assert [(job.key["row"], job.key["column"], job.key["seed"]) for job in jobs] == [
        (row, column, seed)
        for seed in (0, 1)
        for row, column in (("CNN", "plain"), ("ST-CNN affine", "plain"), ("ST-CNN affine", "rotated"))
    ]
    assert len({job.folder for job in jobs}) == 6


def test_a_run_is_its_experiment_recipe_options_and_seed(table):
    job = plan(table, ["ST-CNN affine/rotated"], 2, "slow", ["--trainer.max_epochs=3"], Path("out"))[1]
    configs = ["-c", "experiment.yaml", "-c", "recipe.yaml"]
    options = ["--data.distortion=R", "--model.heads=1", "--trainer.max_epochs=3", "--seed_everything=1"]
    assert list(job.arguments) == [*configs, *options]
    assert job.folder.parts[:3] == ("out", "ST-CNN-affine", "rotated")


def test_null_and_lists_are_options_as_yaml_has_them(tmp_path, write_table):
    from stn_lightning.reproducing import read_table

    text = (
        write_table(tmp_path).read_text().replace("{model.transform: null}", "{model.transform: null, a.b: [x, 1], c: true}")
    )
    job = plan(read_table(str(write_table(tmp_path, text))), ["CNN"], 1, None, [], Path("out"))[0]
    assert job.key["options"] == ["--model.transform=null", '--a.b=["x", 1]', "--c=true"]


def test_rows_and_cells_are_chosen(table):
    def chosen(*places):
        return [job.key["row"] + "/" + job.key["column"] for job in plan(table, places, 1, None, [], Path("out"))]

    assert chosen("ST-CNN affine") == ["ST-CNN affine/plain", "ST-CNN affine/rotated"]
    assert chosen("ST-CNN affine/rotated", "CNN") == ["CNN/plain", "ST-CNN affine/rotated"]


def test_unknown_rows_and_recipes_are_named(table):
    with pytest.raises(
        ValueError, match=r"--rows: expected ROW or ROW/COLUMN of rows CNN, ST-CNN affine .*, got CNN/rotated$"
    ):
        plan(table, ["CNN/rotated", "CNN"], 1, None, [], Path("out"))
    with pytest.raises(ValueError, match="expected --recipe fast or slow, got short"):
        plan(table, [], 1, "short", [], Path("out"))


def test_further_options_make_another_run_unless_they_say_where_data_are(table, line):
    plain, longer, moved = (plan(table, [], 1, None, more, Path("out"))[0] for more in ([], ["--x=1"], ["--data.root=/mnt"]))
    assert plain.folder == moved.folder != longer.folder
    done = line(plain, 0.1)
    assert (plain.is_of(done), moved.is_of(done), longer.is_of(done)) == (True, True, False)
    assert "--data.root=/mnt" in moved.arguments


@pytest.mark.parametrize(
    ("jobs", "share", "gpus", "cores", "threads", "expected"),
    [
        (None, 1, [], 8, None, [(None, 2)] * 4),
        (None, 1, [], 1, None, [(None, 1)]),
        (8, 1, [], 8, None, [(None, 1)] * 8),
        (3, 1, [], 8, 1, [(None, 1)] * 3),
        (None, 1, ["0", "1"], 16, None, [("0", 8), ("1", 8)]),
        (None, 2, ["4", "7"], 16, None, [("4", 4), ("7", 4), ("4", 4), ("7", 4)]),
        (3, 2, ["4", "7"], 16, None, [("4", 5), ("7", 5), ("4", 5)]),
    ],
)
def test_places_for_runs(jobs, share, gpus, cores, threads, expected):
    assert slots(jobs, share, gpus, cores, threads) == [Slot(*each) for each in expected]


def test_no_place_for_a_run_is_an_error():
    with pytest.raises(ValueError, match="expected --jobs of at least 1, got 0"):
        slots(0, 1, [], 2)
    with pytest.raises(ValueError, match="expected --share of at least 1, got 0"):
        slots(None, 0, ["0"], 2)


def test_gpus_are_those_that_the_environment_shows(monkeypatch):
    import torch

    from stn_lightning.reproducing import gpus

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-8a")
    assert gpus() == ["3", "GPU-8a"]


def test_plan_alone_runs_nothing(stn, tmp_path, write_table):
    write_table(tmp_path)
    done = stn("reproduce", "tiny.yaml", "--plan", "--seeds", "2", "--", "--trainer.max_epochs=1")
    assert done.code == 0, done.err
    assert done.out.count("stn fit -c ") == 6
    assert "runs: 6, recorded: 0" in done.out
    assert not (tmp_path / "runs").exists()


def test_table_or_line_is_expected(stn):
    assert "expected either TABLE or --again FILE:LINE" in stn("reproduce").message
