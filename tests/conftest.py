"""What tests of several rooms share: the command in this process, small MNIST files, installed packages."""

import gzip
import io
import os
import shutil
import struct
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import torch

torch.set_num_threads(1)
ROOT = Path(__file__).parents[1]
REAL_MNIST = ROOT.parent / "shared" / "data" / "mnist"


@dataclass
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def message(self):
        """The one line that says what was wrong; a traceback, or a second such line, fails."""
        assert self.code != 0, self.out
        assert "Traceback" not in self.err
        (line,) = [line for line in self.err.splitlines() if "error:" in line]
        return line


def run_stn(*args, cwd):
    from stn_lightning.__main__ import main

    code, out, err, argv = 0, io.StringIO(), io.StringIO(), sys.argv
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err):
        sys.argv = ["stn"]
        try:
            main([str(arg) for arg in args])
        except SystemExit as e:
            code = e.code if isinstance(e.code, int) else int(e.code is not None)
            if isinstance(e.code, str):
                err.write(f"{e.code}\n")
        finally:
            sys.argv = argv
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture(autouse=True)
def _without_a_global_seed():
    """A fit sets the seed of whatever follows in the process."""
    yield
    for name in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS"):
        os.environ.pop(name, None)


@pytest.fixture(scope="session")
def stn_in():
    """``stn`` in this process: ``stn_in(folder, "fit", ...)`` gives exit code, stdout and stderr."""
    return lambda cwd, *args: run_stn(*args, cwd=cwd)


@pytest.fixture
def stn(tmp_path):
    """``stn`` in this process, in an empty folder."""
    return lambda *args: run_stn(*args, cwd=tmp_path)


def write_idx(file, array):
    """The idx format of MNIST: magic (0, 0, 8 = uint8, rank), big-endian sizes, bytes."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    Path(file).write_bytes(header + array.astype(np.uint8).tobytes())


@pytest.fixture(scope="session", name="write_idx")
def _write_idx():
    return write_idx


@pytest.fixture(scope="session")
def tiny_mnist(tmp_path_factory):
    """A root of MNIST in the true format: 96 training and 25 test images of blobs."""
    root = tmp_path_factory.mktemp("mnist")
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for split, count in (("train", 96), ("t10k", 25)):
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 4:24, 4:24] = draw.integers(0, 256, (count, 20, 20))
        write_idx(raw / f"{split}-images-idx3-ubyte", images)
        write_idx(raw / f"{split}-labels-idx1-ubyte", np.arange(count) % 10)
    return root


@pytest.fixture(scope="session")
def real_mnist(tmp_path_factory):
    """A root of the whole MNIST, unpacked."""
    packed = sorted(REAL_MNIST.glob("*-ubyte.gz"))
    if len(packed) != 4:
        pytest.skip(f"needs the four files of MNIST, *-ubyte.gz, in {REAL_MNIST}")
    root = tmp_path_factory.mktemp("real_mnist")
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in packed:
        with gzip.open(file) as source, (raw / file.stem).open("wb") as target:
            shutil.copyfileobj(source, target)
    return root


def install(folder, dist, version, entry_points, modules):
    """A package as pip leaves it: modules, and a dist-info with metadata and entry points."""
    info = folder / f"{dist.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n")
    groups = (f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in names.items()) for group, names in entry_points.items())
    (info / "entry_points.txt").write_text("\n".join(groups))
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(dedent(source))


@pytest.fixture(scope="session", name="install")
def _install():
    return install


@pytest.fixture
def importable(tmp_path, monkeypatch):
    """A folder on the import path of this process; its modules are forgotten afterwards."""
    folder = tmp_path / "importable"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture(scope="session")
def newest_run():
    """The folder of the newest run below a root."""
    return lambda root: max(Path(root).glob("version_*"), key=lambda p: int(p.name.removeprefix("version_")))


HELPERS = """
    import json
    from pathlib import Path

    import torch
    from lightning.pytorch import Callback

    class Interrupt(Callback):
        def __init__(self, epoch: int) -> None:
            self.epoch = epoch

        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == self.epoch:
                raise KeyboardInterrupt

    class Poison(Callback):
        '''Makes a weight NaN before or after the step.'''

        def __init__(self, step: int, after: bool = False) -> None:
            self.step, self.after = step, after

        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if not self.after and trainer.global_step == self.step:
                self.spill(pl_module)

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if self.after and trainer.global_step == self.step + 1:
                self.spill(pl_module)

        def spill(self, pl_module):
            with torch.no_grad():
                pl_module.network.classifier.weight.fill_(float("nan"))

    class Count(Callback):
        '''Says how many parameters the network has.'''

        def on_fit_start(self, trainer, pl_module):
            print("parameters of the network:", sum(p.numel() for p in pl_module.network.parameters()))

    class Diary(Callback):
        '''Writes down what a rank trains on, and its weights at the end.'''

        def __init__(self) -> None:
            self.batches = []

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            images, targets = batch
            self.batches.append({"ink": images.sum((1, 2, 3)).tolist(), "targets": targets.tolist()})

        def on_fit_end(self, trainer, pl_module):
            weights = sum(float(p.double().sum()) for p in pl_module.parameters())
            page = {"batches": self.batches, "weights": weights}
            Path(f"rank{trainer.global_rank}.json").write_text(json.dumps(page))
"""


@pytest.fixture(scope="session")
def helpers_source():
    return dedent(HELPERS)


@pytest.fixture
def helpers(importable, helpers_source, monkeypatch):
    """Callbacks that a command can name: ``stn_test_helpers.Interrupt``, ``.Poison``, ``.Count``, ``.Diary``."""
    (importable / "stn_test_helpers.py").write_text(helpers_source)
    monkeypatch.setenv("STN_ALLOW_IMPORT", "stn_test_helpers")
    return importable
