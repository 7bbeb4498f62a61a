"""What `make offline` says of a command: its exit code, and whether it tried to leave the machine."""

import subprocess
import sys
from pathlib import Path

import pytest

OFFLINE = Path(__file__).parents[2] / ".ci" / "offline"
LOOPBACK = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
    pass
"""
OUTSIDE = """
import socket
with socket.socket(*{kind}) as out:
    try:
        out.connect(("{address}", 80))
    except OSError:
        pass
"""


def offline(*command, cwd=None):
    done = subprocess.run([OFFLINE, *command], capture_output=True, text=True, timeout=250, cwd=cwd)
    if done.stdout.startswith("skipped: "):
        pytest.skip(done.stdout.strip())
    return done


@pytest.mark.parametrize(("code", "expected"), [("pass", 0), ("exit(3)", 3), (LOOPBACK, 0)], ids=["pass", "exit", "loopback"])
def test_exit_code_is_that_of_the_command(code, expected):
    done = offline(sys.executable, "-c", code)
    assert done.returncode == expected, done.stderr
    assert done.stdout == "connections tried beyond loopback: 0\n"


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("(socket.AF_INET, socket.SOCK_STREAM)", "192.0.2.1"),
        ("(socket.AF_INET, socket.SOCK_DGRAM)", "192.0.2.1"),
        ("(socket.AF_INET6, socket.SOCK_STREAM)", "2001:db8::1"),
    ],
    ids=["tcp", "udp", "ipv6"],
)
def test_attempt_that_the_command_hides_is_an_error(kind, address):
    done = offline(sys.executable, "-c", OUTSIDE.format(kind=kind, address=address))
    assert done.returncode == 1
    assert done.stdout == "connections tried beyond loopback: 1\n"


def test_run_with_tensorboard_and_checkpoints_tries_no_connection(tmp_path):
    short = ["--trainer.max_steps=1", "--trainer.limit_val_batches=1", "--trainer.accelerator=cpu"]
    done = offline(sys.executable, "-m", "stn_lightning", "fit", "--model.transform=affine", *short, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("connections tried beyond loopback: 0\n")
    assert list(tmp_path.rglob("events.out.tfevents.*"))
    assert list(tmp_path.rglob("last.ckpt"))
