"""Pages of docs/ say what the files of finished runs say."""

import re
import shlex
from pathlib import Path

import pytest

from stn_lightning.reproducing import groups, read_lines, read_table, written
from stn_lightning.reproducing._page import END, around

DOCS = Path(__file__).parents[2] / "docs"
PARTS = [
    (page, name)
    for page in sorted(DOCS.rglob("*.md"))
    for name in re.findall(r"^<!-- table (\S+) -->$", page.read_text(), re.M)
]


@pytest.mark.parametrize(("page", "name"), [pytest.param(*part, id=f"{part[0].stem}-{part[1]}") for part in PARTS])
def test_part_of_a_page_is_what_its_file_says(page, name):
    """`make results` writes it."""
    folder = page.with_suffix("")
    table, lines = read_table(name), read_lines(folder / f"{name}.jsonl")
    before, after = around(page, name)
    part = page.read_text().removeprefix(before).removesuffix(after)
    assert part == f"\n{written(table, lines, f'{folder.name}/{name}')}\n"
    assert sum(len(group.lines) for group in groups(table, lines)) == len(lines)
    assert all((page.parent / file).is_file() for file in re.findall(r"\]\((\S+png)\)", part))


def test_results_name_no_folder_of_a_machine():
    lines = [line for file in DOCS.rglob("*.jsonl") for line in read_lines(file)]
    assert {line["config"]["trainer"]["default_root_dir"] for line in lines} <= {None}


def test_every_file_of_results_has_its_part():
    assert {(file.parent, file.stem) for file in DOCS.rglob("*.jsonl")} <= {
        (page.with_suffix(""), name) for page, name in PARTS
    }
    pages = {page for page, _ in PARTS}
    assert pages >= {DOCS / "results.md"}
    assert all(page.read_text().count(END) == sum(page == each for each, _ in PARTS) for page in pages)


def commands(page):
    """Whole ones, in lines of their own and in running text."""
    text = page.read_text()
    found = re.findall(r"^ {4}(stn reproduce [^#\n]*)|`(?:OMP_NUM_THREADS=1 )?(stn reproduce [^`]*)`", text, re.MULTILINE)
    return [
        " ".join(f"{line}{inline}".split()) for line, inline in found if not re.search("--again|TABLE|--write", line + inline)
    ]


@pytest.mark.parametrize("command", sorted({command for page in DOCS.rglob("*.md") for command in commands(page)}))
def test_command_of_a_page_has_a_plan(stn, command):
    own, dashes, further = shlex.join(shlex.split(command)[1:]).partition(" -- ")
    done = stn(*shlex.split(f"{own} --plan{dashes}{further}"))
    assert done.code == 0, done.err
    assert "stn fit -c " in done.out
