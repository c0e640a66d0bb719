"""Keep the warnings of libraries from the user, in several threads at once."""

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
    """Within the block, let no warning through; unlike ``warnings.catch_warnings``, threads may overlap in it."""
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
