"""Test that the first signal requests a stop and the second stops at once; without unsaved work, the first does too."""

import os
import signal
import subprocess
import sys

import pytest

from synaug.errors import Interrupted
from synaug.runtime import signals

WAITING = """
import time
from synaug.runtime import signals
with signals.graceful():
    print("ready", flush=True)
    while not signals.is_requested():
        time.sleep(0.01)
    print("asked", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("before", ["", "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_the_process_at_once(number, before):
    with subprocess.Popen(
        [sys.executable, "-c", before + WAITING], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        for word in ("ready", "asked"):
            assert process.stdout.readline() == f"{word}\n"
            process.send_signal(number)
        assert process.wait(timeout=10) == -number


def test_the_first_signal_only_requests_a_stop():
    with signals.graceful():
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.is_requested()
        with pytest.raises(Interrupted, match="rerun the same command to resume"):
            signals.stop_here()
    assert not signals.is_requested()


def signalled_in_a_library(number, outcome):
    """Send the signal within a block without unsaved work, as a library that catches errors would see it."""
    with signals.graceful(), signals.at_once():
        try:
            os.kill(os.getpid(), number)
        except Interrupted as error:
            outcome(error)


def raise_again(error):
    raise error


def raise_another(error):
    raise RuntimeError("Failed to import") from error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("outcome", [raise_again, raise_another, lambda error: None])
def test_if_nothing_is_to_be_saved_the_first_signal_ends_the_work_whatever_a_library_makes_of_it(number, outcome):
    seen = []
    with pytest.raises(Interrupted, match="rerun the same command"):
        signalled_in_a_library(number, lambda error: (seen.append(error), outcome(error)))
    assert seen


def test_an_error_of_the_block_itself_stays():
    with pytest.raises(KeyError), signals.at_once():
        raise KeyError("x")
