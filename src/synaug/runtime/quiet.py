"""Hide warnings and log lines of libraries from the user, even from several threads at once."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator

_lock = threading.Lock()
_depth = 0
_state = contextlib.ExitStack()


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Suppress all warnings during this context; unlike ``warnings.catch_warnings``, threads may overlap in it."""
    global _depth
    with _lock:
        if _depth == 0:
            _state.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                _state.close()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide the warnings, log lines and progress bars of diffusers and transformers during this context."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    levels = [(log, log.get_verbosity()) for log in (of_diffusers, of_transformers)]
    bars = of_transformers.is_progress_bar_enabled()
    with without_warnings():
        for log, _ in levels:
            log.set_verbosity_error()
        of_transformers.disable_progress_bar()
        of_diffusers.disable_progress_bar()
        try:
            yield
        finally:
            for log, level in levels:
                log.set_verbosity(level)
            if bars:
                of_transformers.enable_progress_bar()
