"""Checkpoints on the disk: whole or not there, and verified over all their bytes."""

import io
import os
import random
import resource
import struct
import zipfile
from fcntl import LOCK_EX, LOCK_NB, flock
from multiprocessing import get_context
from time import monotonic, sleep

import pytest
import torch
from lightning.pytorch.plugins import TorchCheckpointIO

from stn_lightning._files import remove_litter, whole_file
from stn_lightning.checkpoints import WholeCheckpoints, find_checkpoint, read_checkpoint, write_checkpoint


def content(value=1.0):
    return {"state_dict": {"a.weight": torch.full((3, 5), value), "count": torch.tensor(3)}, "epoch": 0, "global_step": 7}


@pytest.fixture
def file(tmp_path):
    write_checkpoint(content(), tmp_path / "it.ckpt")
    return tmp_path / "it.ckpt"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_read(file):
    for kept in (read_checkpoint(file), torch.load(file, weights_only=True), torch.load(file, weights_only=True, mmap=True)):
        assert torch.equal(kept["state_dict"]["a.weight"], torch.ones(3, 5))
        assert kept["global_step"] == 7
    with file.open("rb") as stream:
        assert read_checkpoint(stream)["epoch"] == 0
    assert names(file.parent) == ["it.ckpt"]


def test_every_flipped_bit_is_found(file):
    whole = file.read_bytes()
    for position in range(len(whole)):
        for bit in range(8) if position > len(whole) - 120 else [position % 8]:
            damaged = bytearray(whole)
            damaged[position] ^= 1 << bit
            with pytest.raises(ValueError, match="is damaged"):
                read_checkpoint(io.BytesIO(damaged))


def test_flipped_bit_in_weights_of_plain_lightning_is_found(tmp_path):
    file = tmp_path / "plain.ckpt"
    TorchCheckpointIO().save_checkpoint(content(), file)
    whole = file.read_bytes()
    assert read_checkpoint(file)["global_step"] == 7
    start = whole.index(torch.ones(15).numpy().tobytes())
    for position in range(start, start + 60):
        damaged = bytearray(whole)
        damaged[position] ^= 4
        with pytest.raises(ValueError, match="data/0 is that of another content"):
            read_checkpoint(io.BytesIO(damaged))


@pytest.mark.parametrize("part", [0.0, 0.2, 0.5, 0.9, 0.999])
def test_truncated_file_is_named(file, part):
    os.truncate(file, int(part * file.stat().st_size))
    with pytest.raises(ValueError, match=r"it\.ckpt is damaged"):
        read_checkpoint(file)


def test_missing_file_and_link_to_nothing_are_named(tmp_path):
    (tmp_path / "link.ckpt").symlink_to("gone")
    with pytest.raises(FileNotFoundError, match=r"link\.ckpt: it is a link to nothing"):
        read_checkpoint(tmp_path / "link.ckpt")
    with pytest.raises(FileNotFoundError, match=r"no checkpoint .*gone"):
        read_checkpoint(tmp_path / "gone")


def test_folder_says_how_to_make_a_file(tmp_path):
    with pytest.raises(ValueError, match=r"is a folder, expected a file.*consolidate_checkpoint"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:9/x.ckpt", "s3://b/x", "memory://x", "simplecache::x", "local:/x", "registry", "Registry:x:y"],
)
def test_address_is_refused(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for act in (read_checkpoint, lambda path: write_checkpoint(content(), path), WholeCheckpoints().load_checkpoint):
        with pytest.raises(ValueError, match="expected a local file"):
            act(address)
    assert names(tmp_path) == []


@pytest.mark.parametrize("variable", ["", "1"])
def test_code_is_refused_whatever_the_environment_says(tmp_path, monkeypatch, variable):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", variable)

    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    write_checkpoint({**content(), "payload": Payload()}, tmp_path / "it.ckpt")
    with pytest.raises(ValueError, match="Weights only load failed"):
        WholeCheckpoints().load_checkpoint(tmp_path / "it.ckpt")
    with pytest.raises(ValueError, match="weights_only=False is not allowed"):
        WholeCheckpoints().load_checkpoint(tmp_path / "it.ckpt", weights_only=False)
    assert names(tmp_path) == ["it.ckpt"]


def shared():
    """Ten lists that stand for 10^9 values."""
    found = ["x"]
    for _ in range(9):
        found = [found] * 10
    return found


def deep(levels):
    found = []
    for _ in range(levels):
        found = [found]
    return found


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state_dict": {"a": torch.ones(2), "b": torch.tensor([1, float("inf")])}}, r"not finite \(b\)"),
        ({"state_dict": {"a": torch.tensor(float("nan"), dtype=torch.bfloat16)}}, r"not finite \(a\)"),
        ({"state_dict": {"a": torch.ones(1).expand(10**12)}}, "a is larger than what is kept"),
        ({"state_dict": {"a": torch.eye(3).to_sparse()}}, "expected plain tensors, got .a."),
        ({"state_dict": {"a": torch.ones(3, device="meta")}}, "expected plain tensors, got .a."),
        ({"state_dict": {"a": 3}}, "expected weights"),
        ({"state_dict": [1]}, "weights by their names"),
        ({"optimizer_states": {}}, "optimizer_states to be a list"),
        ({"epoch": "1"}, "epoch to be a int"),
        ({"epoch": -1}, "epoch to be a count, got '-1'"),
        ({"hyper_parameters": {"penalties": shared()}}, "more than 1,000,000 values"),
        ({"hyper_parameters": {"penalties": deep(60)}}, "or 50 levels"),
        ({"callbacks": {"a": torch.ones(1).expand(10**12)}}, "a is larger than what is kept"),
        ({"loops": {}}, "to hold the fit_loop"),
        ({"loops": {"fit_loop": {"progress": {"total": {"ready": 10**30}}}}}, "ready to be a count"),
        ({"loops": {"fit_loop": {"progress": {"total": {"completed": "many"}}}}}, "completed to be a count, got 'many'"),
        ({"optimizer_states": [4]}, "groups of parameters"),
        ({"optimizer_states": [{"param_groups": [{"lr": "fast"}]}]}, "learning rate of at least 0 .*, got 'fast'"),
        ({"pytorch-lightning_version": "0.0.1"}, "Lightning 2 or newer, got one of '0.0.1'"),
    ],
    ids=[
        *("inf", "nan", "larger", "sparse", "meta", "number", "list", "optimizers", "epoch", "negative", "shared", "deep"),
        *("callbacks", "loops", "huge progress", "progress in words", "optimizer", "rate", "version"),
    ],
)
def test_content_that_no_run_writes(tmp_path, changes, said):
    write_checkpoint({**content(), **changes}, tmp_path / "it.ckpt")
    with pytest.raises(ValueError, match=said) as error:
        read_checkpoint(tmp_path / "it.ckpt")
    assert "it.ckpt" in str(error.value)


def test_compressed_archive_is_refused(file):
    """A small one may hold any amount."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    assert torch.load(file, weights_only=True)["epoch"] == 0
    with pytest.raises(ValueError, match="larger than the file"):
        read_checkpoint(file)


def test_other_comment_is_no_checksum(tmp_path):
    torch.save(content(), tmp_path / "it.ckpt")
    data = (tmp_path / "it.ckpt").read_bytes()
    with pytest.raises(ValueError, match="checksum is damaged"):
        read_checkpoint(io.BytesIO(data[:-2] + struct.pack("<H", 3) + b"abc"))


def _write_too_much(file):
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        write_checkpoint(content(2.0), file)
    except OSError as e:
        file.with_name("said").write_text(str(e)[:900])


def test_full_disk_keeps_the_checkpoint_before(file):
    process = get_context("fork").Process(target=_write_too_much, args=(file,))
    process.start()
    process.join(60)
    said = file.with_name("said").read_text()
    assert "it.ckpt could not be saved: File too large; it needs 0.0 MB" in said
    assert "MB are free" in said
    assert names(file.parent) == ["it.ckpt", "said"]
    assert float(read_checkpoint(file)["state_dict"]["a.weight"].mean()) == 1.0


def _write_and_wait(file):
    with whole_file(file) as stream:
        stream.write(b"half")
        stream.flush()
        sleep(60)


def test_litter_is_removed_when_its_writer_is_dead(file):
    process = get_context("fork").Process(target=_write_and_wait, args=(file,))
    process.start()
    give_up = monotonic() + 30
    while not any(part.read_bytes() for part in file.parent.glob(".*.part")):
        assert monotonic() < give_up
        sleep(0.01)
    write_checkpoint(content(2.0), file)
    remove_litter(file.parent, "*")
    assert len(names(file.parent)) == 2
    process.kill()
    process.join()
    remove_litter(file.parent, "other*")
    assert len(names(file.parent)) == 2
    write_checkpoint(content(3.0), file.with_name("another.ckpt"))
    assert names(file.parent) == ["another.ckpt", "it.ckpt"]


def test_a_file_is_locked_while_it_is_written(tmp_path):
    with whole_file(tmp_path / "it") as stream:
        (part,) = tmp_path.iterdir()
        with part.open("rb") as other, pytest.raises(BlockingIOError):
            flock(other, LOCK_EX | LOCK_NB)
        stream.write(b"all")
    assert (tmp_path / "it").read_bytes() == b"all"


@pytest.mark.parametrize("path", ["inside/../it.ckpt", "gone.ckpt", "inside", "local:///{}/it.ckpt"])
@pytest.mark.filterwarnings("ignore:.* is not removed")
def test_what_is_not_removed(file, path):
    (file.parent / "inside").mkdir()
    WholeCheckpoints().remove_checkpoint(path.format(file.parent) if ":" in path else f"{file.parent}/{path}")
    assert names(file.parent) == ["inside", "it.ckpt"]


def test_checkpoint_is_removed(file):
    WholeCheckpoints().remove_checkpoint(str(file))
    assert names(file.parent) == []


def test_storage_options_are_refused(tmp_path):
    with pytest.raises(ValueError, match="storage_options"):
        WholeCheckpoints().save_checkpoint(content(), tmp_path / "it.ckpt", storage_options={"a": 1})


def test_what_is_handed_over_is_not_read_again(file):
    checkpoints, read = WholeCheckpoints(), content(2.0)
    checkpoints.hand_over(file, read)
    assert checkpoints.load_checkpoint(str(file)) is read
    assert checkpoints.load_checkpoint(str(file)) is not read


def run_folder(root, version, **files):
    folder = root / f"version_{version}" / "checkpoints"
    folder.mkdir(parents=True)
    for name, age in files.items():
        write_checkpoint(content(), folder / f"{name}.ckpt")
        os.utime(folder / f"{name}.ckpt", (1000 - age, 1000 - age))
    return folder


def test_newest_good_checkpoint_is_found(tmp_path):
    old = run_folder(tmp_path, 0, best=9, last=8)
    new = run_folder(tmp_path, 1, last=1, best=2, mine=3)
    assert find_checkpoint("last", tmp_path).file == new / "last.ckpt"
    os.truncate(new / "last.ckpt", 100)
    os.truncate(new / "best.ckpt", 0)
    for name, age in (("last", 1), ("best", 2)):
        os.utime(new / f"{name}.ckpt", (1000 - age, 1000 - age))
    found = find_checkpoint("last", tmp_path)
    assert found.file == new / "mine.ckpt"
    assert ["last.ckpt" in found.skipped[0], "best.ckpt" in found.skipped[1], len(found.skipped)] == [True, True, 2]
    found = find_checkpoint("best", tmp_path)
    assert (found.file, len(found.skipped)) == (old / "best.ckpt", 1)


def test_dangling_link_and_folder_are_skipped(tmp_path):
    folder = run_folder(tmp_path, 0, mine=5)
    (folder / "last.ckpt").symlink_to("epoch=9.ckpt")
    (folder / "sharded.ckpt").mkdir()
    found = find_checkpoint("last", tmp_path)
    assert found.file == folder / "mine.ckpt"
    assert sorted(reason.rsplit("/", 1)[1].split(":")[0].split(" ")[0] for reason in found.skipped)[0] == "last.ckpt"
    assert len(found.skipped) == 2
    (folder / "best.ckpt").symlink_to("epoch=9.ckpt")
    with pytest.raises(ValueError, match=r"no good best checkpoint in .*best\.ckpt: it is a link to nothing"):
        find_checkpoint("best", tmp_path)


def test_all_damaged_checkpoints_are_named(tmp_path):
    folder = run_folder(tmp_path, 0, last=1, best=2)
    for name in ("last", "best"):
        os.truncate(folder / f"{name}.ckpt", 0)
    with pytest.raises(ValueError, match=r"no good last checkpoint(?=.*last\.ckpt)(?=.*best\.ckpt)"):
        find_checkpoint("last", tmp_path)


def test_search_removes_litter(tmp_path):
    folder = run_folder(tmp_path, 0, last=1)
    (folder / ".last.ckpt.0a1b2c3d.part").write_bytes(b"half")
    find_checkpoint("last", tmp_path)
    assert names(folder) == ["last.ckpt"]


def test_what_slurm_left_is_found(tmp_path):
    draw = random.Random(0)
    for number in (1, 2):
        write_checkpoint(content(draw.random()), tmp_path / f"hpc_ckpt_{number}.ckpt")
        os.utime(tmp_path / f"hpc_ckpt_{number}.ckpt", (number, number))
    assert find_checkpoint("hpc", tmp_path).file.name == "hpc_ckpt_2.ckpt"
    with pytest.raises(FileNotFoundError, match=r"no hpc checkpoint in .*expected hpc_ckpt_\*\.ckpt"):
        find_checkpoint("hpc", tmp_path / "nowhere")
