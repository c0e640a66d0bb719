"""Keep images paid for from a service as soon as they arrive, with a ledger of the cost.

A process may be killed between the arrival of an image and its journal entry. So an image is stored here first, under a
name derived from its request, and the next run takes it from here instead of requesting it again. The ledger records a
request before it is sent: if the process dies in between, it has counted too much, never too little.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from synaug.errors import IncompleteError, InUseError
from synaug.runtime import storage
from synaug.runtime.files import directories

PAID = "paid"
_LEDGER = "ledger.jsonl"
_WAIT = 0.01  # seconds between attempts to lock the ledger


class BudgetReached(IncompleteError):
    """The next image would cost more than ``api.max_cost`` allows."""


class PaidImages:
    """The images and the ledger of one run; several threads and processes may share it."""

    def __init__(self, run: Path | None, *, price: Decimal, max_cost: Decimal | None) -> None:
        self._folder = None if run is None else run / PAID
        self.price, self.max_cost = price, max_cost
        self._memory: dict[str, bytes] = {}
        self._counted: dict[str, Decimal] = {}
        self._lock = threading.Lock()
        self._size = 0  # of the ledger file when this process last read or wrote it
        with self._shared():
            pass

    def image(self, key: str) -> bytes | None:
        """Return the image paid for under this key, if it has arrived."""
        if self._folder is None:
            return self._memory.get(key)
        try:
            return directories.read_bytes(self._folder / key)
        except FileNotFoundError:
            return None

    def reserve(self, key: str) -> None:
        """Record the price of a request before it is sent; a repeated request is recorded once.

        Raises:
            BudgetReached: the budget is too small.
        """
        with self._shared():
            if key in self._counted:
                return
            if self.max_cost is not None and self._total() + self.price > self.max_cost:
                raise BudgetReached(
                    f"The budget is used up: {self._total()} of {self.max_cost} are spent and the next image costs "
                    f"{self.price}. Finished images are saved. Raise api.max_cost to generate more."
                )
            self._count(key, self.price)

    def check_affordable(self, keys: Collection[str]) -> Decimal:
        """Return the additional cost of the images with these keys.

        Raises:
            BudgetReached: it is more than the budget allows.
        """
        with self._shared():
            cost = self.price * sum(key not in self._counted for key in keys)
            if self.max_cost is not None and self._total() + cost > self.max_cost:
                raise BudgetReached(
                    f"The images cost {cost}, but {self._total()} of the budget of {self.max_cost} are spent. "
                    "Nothing was requested. Raise api.max_cost to generate them."
                )
            return cost

    def release(self, key: str) -> None:
        """Undo the cost of a request that the service rejected without charging."""
        with self._shared():
            self._count(key, Decimal(0))
            self._counted.pop(key, None)

    def store(self, key: str, data: bytes) -> None:
        """Store an image that has arrived."""
        if self._folder is None:
            self._memory[key] = data
        else:
            storage.write_bytes(self._folder / key, data)

    def forget(self, key: str) -> None:
        """Remove an image that the run has journaled; its cost is still counted."""
        self._memory.pop(key, None)
        if self._folder is not None and (self._folder / key).exists():
            storage.remove_file(self._folder / key)

    @property
    def spent(self) -> Decimal:
        """The total cost of the run so far, as known to this process."""
        return self._total()

    def affordable(self) -> int | None:
        """Return how many more images the budget allows; None without a budget or price."""
        if self.max_cost is None or not self.price:
            return None
        return max(0, int((self.max_cost - self.spent) // self.price))

    def _total(self) -> Decimal:
        return sum(self._counted.values(), Decimal(0))

    def _count(self, key: str, price: Decimal) -> None:
        self._counted[key] = price
        if self._folder is not None:
            storage.append_records(self._folder / _LEDGER, [{"key": key, "price": str(price), "pid": os.getpid()}])

    @contextmanager
    def _shared(self) -> Iterator[None]:
        """Lock the ledger against other threads and processes, after reading their new entries."""
        with self._lock:
            if self._folder is None:
                yield
                return
            with self._held():
                path = self._folder / _LEDGER
                if _size(path) != self._size:  # another process has written
                    counted = {record["key"]: Decimal(record["price"]) for record in storage.read_records(path)}
                    self._counted = {key: price for key, price in counted.items() if price or not self.price}
                try:
                    yield
                finally:
                    self._size = _size(path)

    @contextmanager
    def _held(self) -> Iterator[None]:
        assert self._folder is not None
        while True:
            lock = storage.lock(self._folder, name="ledger")
            try:
                lock.__enter__()
            except InUseError:
                time.sleep(_WAIT)
                continue
            try:
                yield
            finally:
                lock.__exit__(None, None, None)
            return


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
