"""Every cell of the table of questions, options included, trains; that each experiment runs is seen in test_configs."""

from pathlib import Path

import pytest
import yaml

TABLE = Path(__file__).parents[1] / "configs" / "table" / "questions.yaml"
CELLS = {
    f"{row} {column}": cell
    for row, columns in yaml.safe_load(TABLE.read_text())["rows"].items()
    for column, cell in columns.items()
    if cell.get("options")
}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_cell_with_recipe(stn, tiny_mnist, cell):
    config = f"--config={TABLE.parent / cell['experiment']}"
    options = [f"--{key}={value}" for key, value in cell["options"].items()]
    data = [f"--data.root={tiny_mnist}", "--data.num_validation=16", "--data.batch_size=8"]
    done = stn("fit", config, *options, *data, "--trainer.fast_dev_run=1", "--trainer.accelerator=cpu")
    assert done.code == 0, done.err
