"""Runs that are asked to end, and runs that lose a rank: real processes and real signals."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry

from stn_lightning.callbacks import Preemption
from stn_lightning.processes import Termination, limit_waiting

if sys.platform != "linux":
    pytest.skip("the ranks are forked, and looked up in /proc", allow_module_level=True)

OPTIONS = [
    "fit",
    "--trainer.accelerator=cpu",
    "--trainer.max_epochs=100000",
    "--trainer.enable_progress_bar=false",
    "--model.network=FCN",
    "--model.network.width=8",
    "--model.transform=affine",
    "--data.batch_size=64",
]
SHORT = ["--trainer.strategy=lightning.pytorch.strategies.DDPStrategy", "--trainer.strategy.timeout=0:00:06"]


def agent():
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("warm_jobs.py"))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture(scope="module")
def warm():
    process = agent()
    yield process
    process.stdin.close()
    process.wait()


def ask(process, line):
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def start(process, folder, ranks, *options):
    """The processes of a job that has trained an epoch."""
    args = [*OPTIONS, f"--trainer.devices={ranks}", *options]
    found = ask(process, json.dumps({"folder": str(folder), "ranks": ranks, "args": args}))
    end = time.monotonic() + 120
    while not list(folder.rglob("last.ckpt")):
        assert time.monotonic() < end, (folder / "rank0.txt").read_text()
        time.sleep(0.02)
    return found


def state_of(folder):
    (file,) = folder.rglob("last.ckpt")
    return file.stat().st_mtime, torch.load(file, weights_only=True)


def is_there(process):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


@pytest.mark.parametrize(("ranks", "asked"), [(1, [0]), (2, [0]), (2, [1]), (2, [0, 1])], ids=["1:0", "2:0", "2:1", "2:01"])
def test_all_ranks_stop_with_a_checkpoint(warm, tmp_path, ranks, asked):
    processes = start(warm, tmp_path, ranks)
    told = time.time()
    for rank in asked * 2:
        os.kill(processes[rank], signal.SIGTERM)
    assert ask(warm, "wait") == [143] * ranks
    written, state = state_of(tmp_path)
    assert written > told
    step = state["global_step"]
    assert f"stopped after step {step}" in (tmp_path / "rank0.txt").read_text()
    assert state["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["completed"] == step


def finish(process, folder, ranks, *options):
    """The weights that a job ends with."""
    args = [*OPTIONS, f"--trainer.devices={ranks}", "--trainer.max_epochs=25", *options]
    ask(process, json.dumps({"folder": str(folder), "ranks": ranks, "args": args}))
    assert ask(process, "wait") == [0] * ranks, (folder / "rank0.txt").read_text()
    newest = max(folder.rglob("last.ckpt"), key=lambda file: file.stat().st_mtime)
    return torch.load(newest, weights_only=True)["state_dict"]


def test_run_goes_on_as_if_it_had_not_been_stopped(warm, tmp_path):
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    whole = finish(warm, tmp_path / "whole", 2)
    processes = start(warm, tmp_path / "stopped", 2, "--trainer.max_epochs=25")
    os.kill(processes[1], signal.SIGTERM)
    assert ask(warm, "wait") == [143, 143]
    resumed = finish(warm, tmp_path / "stopped", 2, "--ckpt_path=last")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_ctrl_c_is_130(warm, tmp_path):
    processes = start(warm, tmp_path, 1)
    os.kill(processes[0], signal.SIGINT)
    assert ask(warm, "wait") == [130]
    assert "Traceback" not in (tmp_path / "rank0.txt").read_text()


def test_killed_rank_is_an_error_of_the_other(warm, tmp_path):
    processes = start(warm, tmp_path, 2)
    os.kill(processes[1], signal.SIGKILL)
    code, killed = ask(warm, "wait")
    assert (code > 0, killed) == (True, -9)


@pytest.mark.parametrize("frozen", [0, 1])
def test_stopped_rank_is_killed_after_the_timeout(warm, tmp_path, frozen):
    processes = start(warm, tmp_path, 2, *SHORT)
    os.kill(processes[frozen], signal.SIGSTOP)
    codes = ask(warm, "wait")
    assert codes[frozen] == -9
    assert codes[1 - frozen] > 0
    assert (
        f"rank {frozen} (process {processes[frozen]}) is stopped: killed" in (tmp_path / f"rank{1 - frozen}.txt").read_text()
    )


def test_ranks_end_with_what_started_them(tmp_path):
    process = agent()
    processes = start(process, tmp_path, 2)
    process.kill()
    process.wait()
    end = time.monotonic() + 10
    while any(is_there(each) for each in processes):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_named_strategy_waits_for_two_minutes(monkeypatch):
    monkeypatch.setitem(StrategyRegistry["ddp"], "init_params", {})  # of the registry itself, `get` makes a strategy
    limit_waiting()
    assert StrategyRegistry["ddp"]["init_params"] == {"timeout": timedelta(seconds=120)}
    assert isinstance(StrategyRegistry.get("ddp"), DDPStrategy)


def test_patience_has_to_be_positive():
    with pytest.raises(ValueError, match="expected a positive patience in seconds, got 0"):
        Preemption(0)


def test_handlers_are_put_back():
    heard = []
    before = signal.signal(signal.SIGUSR2, lambda *_: heard.append("before"))
    try:
        termination = Termination([signal.SIGUSR2], 60)
        termination.arm()
        signal.raise_signal(signal.SIGUSR2)
        assert (termination.asked, heard) == (True, [])
        termination.disarm()
        signal.raise_signal(signal.SIGUSR2)
        assert heard == ["before"]
    finally:
        signal.signal(signal.SIGUSR2, before)


HANGS = """
import signal, sys, time
from stn_lightning.processes import Termination
Termination([signal.SIGTERM], 0.2).arm()
print("armed", flush=True)
end = time.monotonic() + 60
while time.monotonic() < end:
    time.sleep(0.01)
"""


def test_process_that_does_not_stop_is_ended():
    process = subprocess.Popen([sys.executable, "-c", HANGS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "armed\n"
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "asked to end, but" in error
