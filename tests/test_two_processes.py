"""Two real processes on the CPU: each trains on its own images, and evaluation is of the whole set."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

if sys.platform != "linux":
    pytest.skip("ddp_fork needs fork", allow_module_level=True)

OPTIONS = [
    "--trainer.strategy=ddp_fork",
    "--trainer.accelerator=cpu",
    "--trainer.devices=2",
    "--trainer.max_epochs=2",
    "--trainer.limit_train_batches=2",
    "--trainer.log_every_n_steps=1",
    "--trainer.enable_progress_bar=false",
    "--allow-import=stn_test_helpers",
    "--trainer.callbacks=stn_test_helpers.Diary",
    "--model.network=FCN",
    "--model.network.width=8",
    "--model.transform=affine",
    "--data.batch_size=16",
    "--data.num_validation=51",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory, helpers_source):
    folder = tmp_path_factory.mktemp("ddp")
    (folder / "stn_test_helpers.py").write_text(helpers_source)
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "stn_lightning", "fit", *OPTIONS]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(run):
    return [json.loads((run / f"rank{rank}.json").read_text()) for rank in range(2)]


def test_each_rank_draws_its_own_batches(pages):
    batches = [[json.dumps(batch) for batch in page["batches"]] for page in pages]
    assert [len(each) for each in batches] == [4, 4]
    assert len({*batches[0], *batches[1]}) == 8


def test_weights_stay_the_same_on_both(pages):
    assert pages[0]["weights"] == pages[1]["weights"]


def test_one_run_folder_for_both(run):
    assert [path.name for path in (run / "runs").iterdir()] == ["version_0"]
    assert sorted(path.name for path in (run / "runs").rglob("*.ckpt")) == ["best.ckpt", "last.ckpt"]


def test_validation_error_is_of_the_whole_set(run):
    """51 images on two processes: padded to 52, or of one rank, it would be another fraction."""
    from stn_lightning.data import DistortedDigits
    from stn_lightning.tasks import Classification

    last = run / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    epoch = torch.load(last, weights_only=True)["epoch"]
    with (run / "runs" / "version_0" / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/error"]]
    data = DistortedDigits(batch_size=16, num_validation=51)
    data.setup()
    images, targets = (torch.cat(parts) for parts in zip(*data.val_dataloader(), strict=True))
    task = Classification.load_from_checkpoint(last).eval()
    with torch.no_grad():
        output = task(images)
    wrong = int((output.prediction.argmax(1) != targets).sum())
    row = rows[epoch]
    assert float(row["val/error"]) == pytest.approx(wrong / 51, abs=1e-6)
    assert float(row["val/loss"]) == pytest.approx(float(task.loss(output, targets)), rel=1e-5)


def test_config_of_several_processes_runs(run, tmp_path):
    """configs/trainer/ddp_cpu.yaml, as it stands: Lightning starts the second process by the command line of the first.

    So what ``--allow-import`` opens is open in both.
    """
    config = Path(__file__).parents[1] / "configs" / "trainer" / "ddp_cpu.yaml"
    options = ["--trainer.fast_dev_run=2", "--trainer.enable_progress_bar=false", *OPTIONS[7:]]
    command = [sys.executable, "-m", "stn_lightning", "fit", f"--trainer={config}", *options]
    path = os.pathsep.join(filter(None, [str(run), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    assert "2 processes" in done.stderr
    assert {file.name for file in tmp_path.glob("rank*.json")} == {"rank0.json", "rank1.json"}
