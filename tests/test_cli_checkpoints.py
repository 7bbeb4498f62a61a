"""``--ckpt_path``: the best and the last, and every wrong one."""

import csv
import os
import shutil

import pytest
import torch

from stn_lightning.checkpoints import _reading, read_checkpoint

DATA = ["--data.num_validation=50", "--data.batch_size=64"]
FCN = ["--model.network=FCN", "--model.network.width=8"]
MODEL = [*FCN, "--model.transform=affine"]
QUIET = ["--trainer.enable_progress_bar=false"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, stn_in):
    """A folder with one run of three epochs."""
    folder = tmp_path_factory.mktemp("trained")
    options = [*DATA, *MODEL, "--model.optimizer=Adam", "--model.optimizer.lr=0.01", "--trainer.max_epochs=3"]
    done = stn_in(folder, "fit", *options, "--trainer.limit_train_batches=6", "--trainer.enable_progress_bar=false")
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(trained, tmp_path / "copy")


@pytest.fixture
def run(folder, stn_in):
    return lambda *args: stn_in(folder, *args)


def file(folder, name):
    return folder / "runs" / "version_0" / "checkpoints" / f"{name}.ckpt"


def metric(done, name):
    (line,) = [line for line in done.out.splitlines() if name in line]
    return float(line.replace("│", " ").split()[-1])


@pytest.mark.parametrize("which", ["best", "last"])
def test_best_and_last_are_found(run, folder, which):
    by_name = run("validate", *DATA, *QUIET, f"--ckpt_path={which}")
    by_file = run("validate", *DATA, *QUIET, f"--ckpt_path={file(folder, which)}")
    assert (by_name.code, by_file.code) == (0, 0), by_name.err
    assert metric(by_name, "val/error") == metric(by_file, "val/error")


def test_best_is_the_lowest_validation_error(run, folder):
    with (folder / "runs" / "version_0" / "metrics.csv").open() as stream:
        errors = [float(row["val/error"]) for row in csv.DictReader(stream) if row["val/error"]]
    assert len(errors) == 3
    assert len(set(errors)) > 1
    assert metric(run("validate", *DATA, *QUIET, "--ckpt_path=best"), "val/error") == pytest.approx(min(errors), abs=1e-6)
    kept = torch.load(file(folder, "best"), weights_only=True)
    assert kept["epoch"] == errors.index(min(errors))
    assert torch.load(file(folder, "last"), weights_only=True)["epoch"] == 2


@pytest.mark.parametrize("subcommand", ["test", "predict"])
def test_other_commands_take_it_too(run, subcommand):
    done = run(subcommand, *DATA, *QUIET, "--ckpt_path=best")
    assert done.code == 0, done.err


def test_options_of_the_checkpoint_may_be_repeated(run):
    done = run("validate", *DATA, *QUIET, *MODEL, "--model.optimizer=Adam", "--model.optimizer.lr=0.01", "--ckpt_path=last")
    assert done.code == 0, done.err


@pytest.mark.parametrize("which", ["last", "best"])
def test_no_run_is_an_error(stn, which, tmp_path):
    message = stn("fit", *DATA, f"--ckpt_path={which}").message
    assert f"no {which} checkpoint in runs" in message
    assert not (tmp_path / "runs").exists()


def test_missing_file_is_named(run):
    assert "nowhere.ckpt" in run("fit", *DATA, "--ckpt_path=nowhere.ckpt").message
    assert "runs" in run("fit", *DATA, "--ckpt_path=runs").message


@pytest.mark.parametrize("how", ["empty", "truncated", "text", "other-pickle", "tensor", "code"])
@pytest.mark.parametrize("subcommand", ["fit", "test"])
def test_damaged_file_is_named(run, folder, how, subcommand):
    damaged = folder / "damaged.ckpt"
    whole = file(folder, "last").read_bytes()
    damaged.write_bytes({"empty": b"", "truncated": whole[: len(whole) // 2], "text": b"hello"}.get(how, b""))
    if how == "other-pickle":
        torch.save([1, 2], damaged)
    if how == "tensor":
        torch.save(torch.zeros(3), damaged)
    if how == "code":
        torch.save({"hyper_parameters": {"x": print}}, damaged)
    assert "damaged.ckpt" in run(subcommand, *DATA, *QUIET, "--ckpt_path=damaged.ckpt").message


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--model.transform=tps"], ["last.ckpt", "transform", "affine", "tps"]),
        (["--model.transform=affine", "--model.network=CNN"], ["last.ckpt", "network", "FCN", "CNN"]),
        (["--model.transform=affine", "--model.network=FCN", "--model.network.width=9"], ["last.ckpt", "width=8", "9"]),
        (["--model.transform=affine", "--model.optimizer=Adam", "--model.optimizer.lr=0.5"], ["lr=0.01", "0.5"]),
        (["--model.feed=1"], ["feed"]),
        (["--data.distortion=RTS"], ["last.ckpt", "28", "42"]),
    ],
    ids=["transform", "network", "width", "learning-rate", "unknown-option", "image-size"],
)
@pytest.mark.parametrize("subcommand", ["fit", "test"])
def test_checkpoint_of_another_model_or_data(run, folder, subcommand, options, parts):
    before = {path: path.read_bytes() for path in (folder / "runs").rglob("*") if path.is_file()}
    message = run(subcommand, *DATA, *QUIET, *options, "--ckpt_path=last").message
    assert [part for part in parts if part not in message] == [], message
    assert all(path.read_bytes() == content for path, content in before.items())


def test_checkpoint_whose_weights_do_not_fit(run, folder):
    """The hyper-parameters of one network, the weights of another."""
    spoilt = torch.load(file(folder, "last"), weights_only=True)
    spoilt["state_dict"]["network.classifier.weight"] = torch.zeros(10, 3)
    del spoilt["state_dict"]["network.classifier.bias"]
    torch.save(spoilt, folder / "spoilt.ckpt")
    message = run("test", *DATA, *QUIET, "--ckpt_path=spoilt.ckpt").message
    assert "classifier" in message


def test_last_of_another_root(run, folder):
    """``best`` and ``last`` are sought where the run would go."""
    shutil.move(folder / "runs", folder / "elsewhere")
    assert "no last checkpoint in runs" in run("fit", *DATA, "--ckpt_path=last").message
    done = run("validate", *DATA, *QUIET, "--trainer.default_root_dir=elsewhere", "--ckpt_path=last")
    assert done.code == 0, done.err


def test_command_without_a_logger_can_be_given_again(run):
    for _ in range(2):
        done = run("validate", *DATA, *QUIET, "--trainer.logger=false", "--ckpt_path=best")
        assert done.code == 0, done.err


ONE_MORE = [*DATA, *QUIET, "--trainer.max_epochs=4", "--trainer.limit_train_batches=1"]


@pytest.mark.parametrize("how", ["truncated", "dangling", "missing"])
def test_damaged_last_gives_way_to_the_best(run, folder, how):
    last = file(folder, "last")
    if how == "truncated":
        os.truncate(last, 1000)
    else:
        last.unlink()
    if how == "dangling":
        last.symlink_to("gone.ckpt")
    step = read_checkpoint(file(folder, "best"))["global_step"]
    done = run("fit", *ONE_MORE, "--ckpt_path=last", f"--trainer.max_steps={step + 1}")
    assert done.code == 0, done.err
    (line,) = [line for line in done.err.splitlines() if "--ckpt_path last" in line]
    assert line.endswith("taken: runs/version_0/checkpoints/best.ckpt")
    assert ("last.ckpt" in line) is (how != "missing")
    found = read_checkpoint(folder / "runs" / "version_1" / "checkpoints" / "last.ckpt")
    assert found["global_step"] == step + 1


def test_no_good_checkpoint_names_them_all(run, folder):
    for name in ("best", "last"):
        os.truncate(file(folder, name), 0)
    message = run("fit", *ONE_MORE, "--ckpt_path=last").message
    assert [part for part in ("no good last checkpoint", "best.ckpt", "last.ckpt", "empty") if part not in message] == []
    assert not (folder / "runs" / "version_1").exists()


@pytest.mark.parametrize("subcommand", ["fit", "validate"])
def test_checkpoint_is_read_once(run, folder, subcommand, monkeypatch):
    read = []
    monkeypatch.setattr(_reading, "check_archive", lambda data: read.append(len(data)))
    file(folder, "best").unlink()
    assert run(subcommand, *ONE_MORE, "--ckpt_path=last").code == 0
    assert read == [file(folder, "last").stat().st_size]


def test_run_writes_checksums_unless_it_has_its_own_way(run, folder):
    assert b"stn-lightning sha256" in file(folder, "last").read_bytes()[-100:]
    own = ["--trainer.plugins=lightning.pytorch.plugins.TorchCheckpointIO", "--trainer.fast_dev_run=false"]
    assert run("fit", *ONE_MORE, *MODEL, *own, "--trainer.max_epochs=1").code == 0
    written = (folder / "runs" / "version_1" / "checkpoints" / "last.ckpt").read_bytes()
    assert b"stn-lightning sha256" not in written[-100:]


def test_what_slurm_left_is_taken(run, folder):
    shutil.move(file(folder, "last"), folder / "runs" / "hpc_ckpt_1.ckpt")
    done = run("validate", *DATA, *QUIET, "--ckpt_path=hpc")
    assert done.code == 0, done.err
    assert "no hpc checkpoint in elsewhere" in run("fit", "--trainer.default_root_dir=elsewhere", "--ckpt_path=hpc").message


def test_weights_alone_are_no_run(run, folder):
    kept = read_checkpoint(file(folder, "last"))
    torch.save({name: kept[name] for name in ("state_dict", "hyper_parameters")}, folder / "weights.ckpt")
    assert "it lacks loops, optimizer_states" in run("fit", *ONE_MORE, "--ckpt_path=weights.ckpt").message
    torch.save(kept["state_dict"], folder / "bare.ckpt")
    assert "it lacks state_dict" in run("test", *DATA, *QUIET, "--ckpt_path=bare.ckpt").message


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x.ckpt", "registry:model"])
def test_address_is_refused(stn, address):
    assert (
        f"expected a local file for a checkpoint, got the address {address}" in stn("test", f"--ckpt_path={address}").message
    )
