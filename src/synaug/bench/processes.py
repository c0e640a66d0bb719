"""Run tasks in several processes that stop when this one is asked to, and end when it is gone."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, TypeVar

from synaug.errors import EnvironmentFault, Interrupted
from synaug.runtime import keep_freed_memory, signals
from synaug.runtime.security import trusted, trusting

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

T = TypeVar("T")
_CONFIRMED = contextlib.ExitStack()  # code that a process of the pool may run, during its whole life
LOOK_EVERY = 0.5  # seconds between checks for a request to stop


def run_in_processes(
    work: Callable[[T], None], tasks: Sequence[T], jobs: int, finished: Callable[[int, T], None]
) -> None:
    """Run the tasks in so many processes, which stop at their next safe point if this one is asked to stop.

    Args:
        work: runs one task; it and the tasks are pickled.
        tasks: what to run.
        jobs: number of processes; each takes its share of the cores.
        finished: called in this process with the number of finished tasks, and with the last one.

    Raises:
        EnvironmentFault: a process was killed.
    """
    threads = max(1, (os.cpu_count() or 1) // jobs)
    context = multiprocessing.get_context("spawn")
    stop_signal, sender = context.Pipe(duplex=False)  # an Event would wait for processes that do not answer
    # With the work comes the import of its module, which must be over when a new process lets signals in.
    shared = (work, threads, stop_signal, signals.PATIENCE, trusted())
    pool = ProcessPoolExecutor(jobs, context, initializer=_begin_process, initargs=shared)
    before, workers = set(multiprocessing.active_children()), []
    try:
        resource_tracker.ensure_running()  # since its start lets signals in
        with signals.held_back():  # since a new process cannot answer a signal during its imports
            futures = {pool.submit(_run_one, work, task): task for task in tasks}
        workers = [child for child in multiprocessing.active_children() if child not in before]
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, timeout=LOOK_EVERY, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
                finished(len(tasks) - len(waiting), futures[future])
            signals.stop_here()
    except BrokenProcessPool as error:
        signals.stop_here()
        raise EnvironmentFault(
            "A process of the bench was killed, most likely for lack of memory. Use fewer --jobs, or rerun the "
            "same command to resume."
        ) from error
    finally:
        sender.close()
        stop_signal.close()
        pool.shutdown(wait=False, cancel_futures=True)
        _end(workers)


def _end(workers: Sequence[BaseProcess]) -> None:
    """Wait ``signals.PATIENCE`` seconds for the processes to end, and kill the rest; no finished work is lost."""
    deadline = time.monotonic() + signals.PATIENCE
    try:
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))
    finally:  # also if a second signal interrupts the wait
        for worker in workers:
            if worker.is_alive():
                worker.kill()
                worker.join()


def _begin_process(
    _work: Callable[[T], None], threads: int, stop_signal: Connection, patience: float, confirmed: frozenset[str]
) -> None:
    """Set up a process of the pool; it stops at its next safe point once the parent closes its end or is gone."""
    import torch

    signals.let_in()
    keep_freed_memory()
    _CONFIRMED.enter_context(trusting(*confirmed))
    torch.set_num_threads(threads)
    threading.Thread(target=_watch, args=(stop_signal, patience), daemon=True).start()


def _watch(stop_signal: Connection, patience: float) -> None:
    stop_signal.poll(None)
    parent = multiprocessing.parent_process()
    assert parent is not None
    deadline = time.monotonic() + patience
    while parent.is_alive() or time.monotonic() < deadline:
        signals.request()  # repeatedly, so that a run directory started after the request stops too
        time.sleep(LOOK_EVERY)
    os._exit(Interrupted.exit_code)  # the parent is gone, and nobody else would end this process


def _run_one(work: Callable[[T], None], task: T) -> None:
    with signals.graceful():
        work(task)
