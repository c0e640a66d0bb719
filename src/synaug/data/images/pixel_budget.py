"""Limit the number of pixels that threads decode at the same time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class PixelBudget:
    """Lets threads decode in parallel while their images total at most ``pixels``: a huge image is decoded alone.

    Decoding and conversion take up to 20 bytes per pixel, so memory stays bounded for any number of threads.
    """

    def __init__(self, pixels: int) -> None:
        self._free, self._changed = pixels, threading.Condition()

    @contextlib.contextmanager
    def reserved(self, pixels: int) -> Iterator[None]:
        """Wait until this many pixels are available, at most the maximum, and reserve them during the block."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()
