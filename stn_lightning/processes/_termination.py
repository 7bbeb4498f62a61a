"""The signals that ask a process to end: one handler that sets a flag, and a thread that sees that the process ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from types import FrameType
from typing import Any, NoReturn

EXIT_CODE = 128 + signal.SIGTERM  # as the shell counts
TO_TEAR_DOWN = 5.0  # seconds, after the checkpoint


class Termination:
    """Knows whether the process was asked to end.

    The handler sets a flag. A thread, which hears of the signal even while the main thread waits in C (for another rank, for a
    disk), ends the process with exit code 143 if it is still there ``patience`` seconds later.

    Args:
        signals: that ask.
        patience: seconds.
    """

    def __init__(self, signals: Sequence[signal.Signals], patience: float) -> None:
        self.signals, self.patience = signals, patience
        self.asked = False
        self._is_busy, self._deadline = False, float("inf")
        self._before: dict[signal.Signals, Any] = {}
        self._ends: tuple[socket.socket, socket.socket] | None = None

    def arm(self) -> None:
        """Starts to listen; in another thread than the main one, which has no signals, it does nothing."""
        if self._ends is not None or threading.current_thread() is not threading.main_thread():
            return
        self.asked, self._deadline = False, float("inf")
        self._before = {number: signal.getsignal(number) for number in self.signals}
        self._ends = socket.socketpair()
        self._ends[1].setblocking(False)
        self._wakeup_before = signal.set_wakeup_fd(self._ends[1].fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._guard, args=(self._ends[0],), name="termination", daemon=True).start()
        _armed.append(self)
        self.install()

    def install(self) -> None:
        """Takes the place of whatever handlers there are, again where others were set since."""
        if self._ends is not None:
            for number in self.signals:
                signal.signal(number, self._handle)

    def disarm(self) -> None:
        """Puts back what was there before."""
        if self._ends is not None:
            ends, self._ends = self._ends, None
            _armed.remove(self)
            signal.set_wakeup_fd(self._wakeup_before)
            for number, handler in self._before.items():
                signal.signal(number, handler)
            ends[1].close()  # ends the thread, which closes the other

    def ask(self) -> None:
        """As the signal does: another rank was asked."""
        if self._ends is not None:
            with suppress(BlockingIOError):  # so many that one more does not matter
                self._ends[1].send(bytes([self.signals[0]]))

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        """While what must not be cut off is done, such as saving."""
        self._is_busy = True
        yield
        self._is_busy, self._deadline = False, monotonic() + TO_TEAR_DOWN
        self.ask()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if self._ends is None:  # put in place by someone who found it there before
            signal.signal(number, self._before[signal.Signals(number)])
            signal.raise_signal(number)

    def _guard(self, end: socket.socket) -> None:
        with end:
            while heard := end.recv(64):
                if set(heard) & set(self.signals):
                    break
            else:
                return
            self.asked, self._deadline = True, min(self._deadline, monotonic() + self.patience)
            while self._ends is not None:
                if not self._is_busy and monotonic() > self._deadline:
                    end_now(EXIT_CODE, "asked to end, but a step, a validation or another rank took too long")
                sleep(0.05)


def end_now(code: int, why: str = "") -> NoReturn:
    """Ends this process and its data workers, whatever its main thread does.

    The interpreter's own teardown takes seconds on a busy machine, and is left out.

    Args:
        code: the exit code.
        why: written to stderr.
    """
    if why:
        os.write(2, f"stn: error: {why}\n".encode())
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(code)


_armed: list[Termination] = []


def _forget() -> None:
    """A forked process, such as a data worker, has signals of its own."""
    for termination in _armed:
        signal.set_wakeup_fd(-1)
        for number in termination.signals:
            signal.signal(number, signal.SIG_DFL)
    _armed.clear()


os.register_at_fork(after_in_child=_forget)
