"""Lines of finished runs, and what is shown of them."""

import json
import re

import pytest

from stn_lightning.reproducing import add_lines, groups, read_lines, verdict, written
from stn_lightning.reproducing._axis import axis
from stn_lightning.reproducing._page import around, replace_part
from stn_lightning.reproducing._picture import OURS, PAPER, picture


@pytest.fixture
def lines(jobs, line):
    """Both seeds of the first cell, one of the second, none of the third."""
    return [line(jobs[0], 0.02), line(jobs[3], 0.03), line(jobs[1], 0.005, parameters=1300, dirty=True)]


def test_a_run_that_is_repeated_takes_the_place_of_the_first(tmp_path, jobs, line, lines):
    file = tmp_path / "results.jsonl"
    add_lines(file, lines)
    add_lines(file, [line(jobs[0], 0.5), line(jobs[2], 0.4)])
    assert [each["test"]["test/error"] for each in read_lines(file)] == [0.5, 0.03, 0.005, 0.4]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"table": "tiny', "expected a finished run as JSON"),
        ('{"table": "tiny"}', "without row, column"),
        ("[1]", "without table"),
        (None, "expected a number as test/error of the test, got {}"),
    ],
)
def test_a_line_that_is_no_finished_run_is_named(tmp_path, lines, text, words):
    file = tmp_path / "results.jsonl"
    second = json.dumps({**lines[1], "test": {}}) if text is None else text
    file.write_text(f"{json.dumps(lines[0])}\n{second}\n")
    with pytest.raises(ValueError, match=f"results.jsonl:2: .*{re.escape(words)}"):
        read_lines(file)


def test_table_has_means_errors_counts_and_the_papers_numbers(table, lines):
    text = written(table, lines, "results/tiny")
    assert "| | plain | rotated |\n|-|-:|-:|\n" in text
    assert "| CNN | 2.50 ± 0.50, n = 2 (1.2) |  |\n" in text  # 0.5: of 2 and 3, sd 0.707, over the root of 2
    assert "| ST-CNN affine | **0.50, n = 1** (0.7) | not run |\n" in text
    assert "`stn reproduce tiny --recipe fast --seeds 2`" in text
    assert (
        "Runs: 3; 1,234 to 1,300 parameters; 50 steps; 1 min 01 s of training on 1 x cpu; torch 2; commit 0123456, 0123456+"
        in text
    )
    assert "](results/tiny.png)" in text


def test_pairs_of_rows_are_compared_over_the_seeds_of_both(table, jobs, line):
    """With a difference for each seed, and none where a row was not run."""
    runs = [line(jobs[0], 0.02), line(jobs[3], 0.03), line(jobs[0], 0.09, seed=2)]
    runs += [line(jobs[1], 0.01), line(jobs[4], 0.03)]
    paired = table._replace(pairs={"ST-CNN affine": "CNN"})
    text = written(paired, runs, "results/tiny")
    assert "below 0 the first is better.\n\n| | plain | rotated |\n|-|-:|-:|\n" in text
    assert "| ST-CNN affine - CNN | -0.50 ± 0.50, n = 2 |  |\n" in text  # of -1 and 0
    assert "Differences" not in written(paired, runs[:3], "results/tiny")
    assert "above 0 the first is better" in written(paired._replace(best="highest"), runs, "results/tiny")


def test_what_is_better_than_the_papers_is_bold(table, jobs, line):
    for best, better in (("lowest", 0.0119), ("highest", 0.0121)):
        asked = table._replace(best=best)
        assert "**" not in written(asked, [line(jobs[0], 0.012)], "results/tiny")  # the same is not better
        assert f"| **{100 * better:.2f}, n = 1** (1.2) |" in written(asked, [line(jobs[0], better)], "results/tiny")


def test_what_was_never_run_says_so(table):
    text = written(table, [], "results/tiny")
    assert text.count("not run") == 3
    assert ".png" not in text


def test_other_recipes_and_options_have_tables_of_their_own(table, jobs, line, lines):
    others = [line(jobs[0], 0.5, recipe="slow"), line(jobs[0], 0.9, further=["--trainer.max_epochs=1"])]
    found = groups(table, [*lines, *others])
    assert [(group.recipe, list(group.further), len(group.lines)) for group in found] == [
        ("fast", [], 3),
        ("fast", ["--trainer.max_epochs=1"], 1),
        ("slow", [], 1),
    ]
    assert "`stn reproduce tiny --recipe fast --seeds 1 -- --trainer.max_epochs=1`" in written(table, others, "tiny")


def test_runs_of_what_the_table_does_not_have_do_not_count(table, jobs, line):
    others = [{"row": "FCN"}, {"options": []}, {"experiment": "another.yaml"}, {"table": "big"}]
    assert groups(table, [line(jobs[0], 0.5, **other) for other in others])[0].lines == []


def test_part_of_a_page_is_replaced_and_the_rest_stays(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n<!-- table tiny -->\nold\n<!-- end of table -->\nrest\n<!-- table big -->\n<!-- end of table -->\n"
    )
    replace_part(page, "tiny", "new\n")
    assert page.read_text() == (
        "# Page\n<!-- table tiny -->\n\nnew\n\n<!-- end of table -->\nrest\n<!-- table big -->\n<!-- end of table -->\n"
    )
    assert around(page, "big")[1] == "<!-- end of table -->\n"
    with pytest.raises(ValueError, match="expected <!-- table small --> and <!-- end of table -->"):
        replace_part(page, "small", "new\n")


def test_picture_has_a_dot_for_each_mean_and_a_mark_for_each_number_of_the_paper(table, lines):
    """Counted as connected regions of their colours by scikit-image; the legend has one of each."""
    import numpy as np
    from skimage.measure import label

    pixels = np.asarray(picture(table, groups(table, lines)[0]).convert("RGB")).astype(int)

    def regions(colour):
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        return int(label(abs(pixels - wanted).sum(2) < 12).max())

    assert (regions(OURS), regions(PAPER)) == (1 + 2, 1 + 2)


@pytest.mark.parametrize("logarithmic", [True, False])
@pytest.mark.parametrize("values", [[], [0.0], [0.5, 0.6], [0.5, 13.2], [75.0, 100.0], [47.7, 5.8]], ids=str)
def test_axis_has_a_place_for_every_value_and_a_few_ticks(values, logarithmic):
    found = axis(values, logarithmic)
    places = [found.place(value) for value in sorted(values)]
    assert places == sorted(places)
    assert len(set(places)) == len(places)
    assert all(0 <= place < 1 for place in places)
    assert 1 <= len(found.ticks) <= 5
    assert all(0 <= found.place(tick) <= 1 for tick in found.ticks)


def test_equal_ratios_are_equally_far_on_a_logarithmic_axis():
    logarithmic, linear = axis([1, 9], True), axis([1, 9], False)
    assert logarithmic.place(3) == pytest.approx(0.5)
    assert linear.place(5) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("error", "other", "alike", "words"),
    [
        (0.02, {}, True, "the same"),
        (0.0201, {}, False, "expected the same number"),
        (0.0201, {"device": "1 x H200"}, True, "within 1.4142"),
        (0.0345, {"threads": 2}, False, r"\(different threads\): beyond 1.4142"),
    ],
)
def test_repeated_run_is_the_same_or_within_the_spread(jobs, line, lines, error, other, alike, words):
    """1.4142: twice the standard deviation of 2 and 3."""
    found, why = verdict(lines[0], line(jobs[0], error, **other), lines[:2])
    assert found is alike
    assert re.search(words, why)


def test_one_seed_has_no_spread(jobs, line, lines):
    assert verdict(lines[0], line(jobs[0], 0.021, threads=2), lines[:1]) == (
        False,
        "test/error 2.0000 % recorded, 2.1000 % now (different threads): one recorded seed has no spread to judge by",
    )
