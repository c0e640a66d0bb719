"""Stop long work at a safe point: the first signal requests a stop, the second ends the process at once."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

from synaug.errors import Interrupted

PATIENCE = 60.0  # seconds for the other processes of a command to reach a safe point before they are killed
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_requested = threading.Event()
_nothing_to_save = threading.Event()


INTERRUPTED = "Interrupted. Finished work is saved; rerun the same command to resume."


def end_at_once(_number: int, _frame: FrameType | None) -> NoReturn:
    """Signal handler while there is nothing to save, such as during the first imports: end the process quietly."""
    os.write(2, f"synaug: {INTERRUPTED}\n".encode())
    os._exit(Interrupted.exit_code)  # an exception would surface inside the module being imported


_Handler = Callable[[int, FrameType | None], object] | int | None
_SECOND: dict[_Handler, _Handler] = {signal.SIG_IGN: signal.SIG_DFL, end_at_once: signal.default_int_handler}


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Block signals during this context; processes started in it inherit the blocked signals.

    They unblock them with ``let_in`` once they are ready.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_in() -> None:
    """Unblock the signals of a process started with them blocked, and ignore them: the parent handles Ctrl-C."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


@contextlib.contextmanager
def graceful() -> Iterator[None]:
    """During this context, the first SIGINT or SIGTERM sets a request, on which ``stop_here`` raises.

    The second signal has the effect it had before the context; if it was ignored, as SIGINT is in background jobs of a
    script, it ends the process. Outside the main thread, where Python does not allow signal handlers, nothing changes.
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
    """During this context, which has nothing to save, end the work at the first signal, wherever it is.

    Raises:
        Interrupted: a signal arrived, even if the block turned that into another error.
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
    """Request a stop, as a signal does."""
    _requested.set()


def wait(seconds: float = math.inf) -> bool:
    """Wait at most this long for a request to stop, and return whether one came; call within ``graceful``."""
    end = time.monotonic() + seconds
    while not _requested.is_set() and (left := end - time.monotonic()) > 0:
        _requested.wait(timeout=min(left, 1.0))  # a limit, so that the main thread gets to run the handlers
    return _requested.is_set()


def is_requested() -> bool:
    """Return whether a stop has been requested."""
    return _requested.is_set()


def stop_here() -> None:
    """Raise Interrupted if a stop has been requested; call this when all finished work is saved.

    Raises:
        Interrupted: a stop has been requested.
    """
    if _requested.is_set():
        raise Interrupted(INTERRUPTED)
