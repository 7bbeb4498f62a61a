"""Tables: those that are shipped name what there is, and what is no table is refused with its place."""

import json
import shutil
from importlib.util import module_from_spec, spec_from_file_location
from itertools import groupby
from pathlib import Path

import pytest
import yaml

from stn_lightning.reproducing import _table, read_table
from stn_lightning.reproducing._job import as_options
from stn_lightning.reproducing._table import CONFIGS

SHIPPED = sorted(path.stem for path in (CONFIGS / "table").glob("*.yaml"))


def kind(cell):
    """Cells of one kind take the same options: the same classes, whatever their other arguments."""
    written = yaml.safe_load(cell.experiment.read_text())

    def classes(value):
        if isinstance(value, str):
            file = cell.experiment.parent / value
            return classes(yaml.safe_load(file.read_text())) if value.endswith(".yaml") else value
        if isinstance(value, dict) and "class_path" in value:
            return [value["class_path"], classes((value.get("init_args") or {}).get("network"))]
        return None

    return json.dumps([classes(written.get("model")), classes(written.get("data")), sorted(cell.options)])


def kinds(name):
    cells = sorted(read_table(name).cells, key=kind)
    return [next(same) for _, same in groupby(cells, kind)]


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_table_is_one(name):
    """Experiments and recipes are there, and the paper's numbers are numbers: else it is not read."""
    table = read_table(name)
    assert table.cells
    assert (CONFIGS / "table" / f"{name}.yaml").read_text().startswith("# ")
    assert (table.source is None) == all(cell.paper is None for cell in table.cells)
    assert all(0 < cell.paper <= 100 for cell in table.cells if cell.paper is not None)


@pytest.mark.parametrize(
    ("name", "cell"), [pytest.param(n, c, id=f"{n}-{'-'.join(c.place)}") for n in SHIPPED for c in kinds(n)]
)
def test_options_of_a_shipped_table_are_understood(stn, name, cell):
    recipe = read_table(name).recipes[read_table(name).usual_recipe]
    done = stn("fit", "-c", cell.experiment.absolute(), "-c", recipe.absolute(), *as_options(cell.options), "--print_config")
    assert done.code == 0, done.err


def test_cells_are_read_row_by_row(table):
    assert (table.rows, table.columns, table.usual_recipe) == (["CNN", "ST-CNN affine"], ["plain", "rotated"], "fast")
    assert [(*cell.place, cell.paper) for cell in table.cells] == [
        ("CNN", "plain", 1.2),
        ("ST-CNN affine", "plain", 0.7),
        ("ST-CNN affine", "rotated", None),
    ]
    assert {cell.experiment for cell in table.cells} == {Path("experiment.yaml")}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("paper: 1.2", "paper: low", "CNN, plain: expected a number as paper, got 'low'"),
        ("paper: 1.2", "paper: true", "CNN, plain: expected a number as paper, got True"),
        (
            "paper: 1.2",
            "papers: 1.2",
            "CNN, plain: expected experiment and perhaps options and paper, got experiment, options",
        ),
        ("{model.transform: null}", "[model]", "CNN, plain: expected options of `stn fit`"),
        ("best: lowest", "best: low", "best: expected lowest or highest, got 'low'"),
        ("metric: test/error", "metrics: test/error", "expected best, metric, recipes, rows, source, title"),
        ("title: Tiny", "title: [Tiny]", "title: expected a text"),
        (
            "title: Tiny",
            "title: Tiny\n    pairs: {CNN: FCN}",
            "pairs: expected two of CNN, ST-CNN affine, got 'CNN' and",
        ),
        ("title: Tiny", "title: Tiny\n    pairs: {CNN: CNN}", "got 'CNN' and 'CNN'"),
        ("rotated:", "Plain:", "expected names that differ"),
        ("recipes: {fast", "recipes: {1", "a recipe: expected a text, got 1"),
        ("fast: recipe.yaml", "fast: recipes.yaml", "recipes, fast: no config recipes.yaml"),
        ("{experiment: experiment.yaml, paper", "{experiment: none.yaml, paper", "ST-CNN affine, plain: no config none.yaml"),
    ],
)
def test_what_is_no_table_is_refused_with_its_place(tmp_path, write_table, stn, old, new, words):
    file = write_table(tmp_path)
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    said = stn("reproduce", "tiny.yaml", "--plan").message
    assert words in said
    assert "tiny.yaml: " in said


def test_table_that_is_not_there_is_named_beside_those_that_are(stn):
    said = stn("reproduce", "mnis", "--plan").message
    assert "no table mnis: expected a file .yaml or one of " in said
    assert all(name in said for name in SHIPPED)


def test_configs_in_the_package_as_in_a_wheel_are_those_that_count(tmp_path):
    package = tmp_path / "stn_lightning"
    (package / "reproducing").mkdir(parents=True)
    shutil.copy(_table.__file__, package / "reproducing")
    for folder in (package, tmp_path):
        (folder / "configs").mkdir()
    spec = spec_from_file_location("copied", package / "reproducing" / "_table.py")
    copied = module_from_spec(spec)
    spec.loader.exec_module(copied)
    assert package / "configs" == copied.CONFIGS
    assert Path(_table.__file__).parents[2] / "configs" == CONFIGS
