"""Stop long work at a safe place: the first signal asks, the second ends at once."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

from synaug.errors import Interrupted

PATIENCE = 60.0  # seconds, that other processes of a command have to reach a safe place before they are ended
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_requested = threading.Event()
_nothing_to_save = threading.Event()


INTERRUPTED = "Interrupted. Finished work is saved; rerun the same command to resume."


def end_at_once(_number: int, _frame: FrameType | None) -> NoReturn:
    """Answer a signal while there is nothing to save, such as during the first imports: end the process, quietly."""
    os.write(2, f"synaug: {INTERRUPTED}\n".encode())
    os._exit(Interrupted.exit_code)  # an exception would end in whatever is being imported


_SECOND: dict[Any, Any] = {signal.SIG_IGN: signal.SIG_DFL, end_at_once: signal.default_int_handler}


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Within the block, keep signals waiting; processes that are started in it start with them waiting, too.

    They let them in with ``let_in`` once they are ready to answer.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_in() -> None:
    """Begin a process that was started with its signals held back: those of a terminal are its parent's to answer."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


@contextlib.contextmanager
def graceful() -> Iterator[None]:
    """Within the block, let the first SIGINT or SIGTERM set a request that ``stop_here`` answers.

    The second signal does what it did before the block; where it was ignored, as SIGINT is of a script's background
    jobs, it ends the process. Outside the main thread, where Python allows no
    signal handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def ask(number: int, _frame: FrameType | None) -> None:
        _requested.set()
        for each, handler in before.items():
            signal.signal(each, _SECOND.get(handler, handler))
        if _nothing_to_save.is_set():
            stop_here()

    for number in _SIGNALS:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _requested.clear()


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Within the block, which has nothing to save, let the first signal end the work where it stands.

    Raises:
        Interrupted: it came; also where the block made another error of that.
    """
    stop_here()
    _nothing_to_save.set()
    try:
        yield
    except Exception:
        stop_here()
        raise
    finally:
        _nothing_to_save.clear()
    stop_here()


def request() -> None:
    """Ask for an end, as a signal does."""
    _requested.set()


def wait(seconds: float = math.inf) -> bool:
    """Wait for a signal that asks for an end, at most so long, and return whether it came; call within ``graceful``."""
    end = time.monotonic() + seconds
    while not _requested.is_set() and (left := end - time.monotonic()) > 0:
        _requested.wait(timeout=min(left, 1.0))  # a limit, so that the main thread gets to run the handlers
    return _requested.is_set()


def is_requested() -> bool:
    """Return whether a signal has asked for an end."""
    return _requested.is_set()


def stop_here() -> None:
    """Call this where all finished work is saved.

    Raises:
        Interrupted: a signal has asked for an end.
    """
    if _requested.is_set():
        raise Interrupted(INTERRUPTED)
