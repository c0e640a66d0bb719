import contextlib
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from synaug.errors import Interrupted
from synaug.runtime import signals
from synaug.training.training_set import TrainingSet, make_training_set


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Work this small is slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def digits(rows: np.ndarray, like: TrainingSet | None = None) -> TrainingSet:
    found = load_digits()
    images = torch.from_numpy((found.images[rows] * 15.9375).astype(np.uint8))[:, None]
    return make_training_set(images, torch.from_numpy(found.target[rows]), num_classes=10, like=like)


@pytest.fixture(scope="session")
def long_tail() -> TrainingSet:
    """Digits from the odd rows, 80 of class 0 down to 2 of each of the last five classes."""
    labels = load_digits().target
    odd = np.arange(len(labels)) % 2 == 1
    kept = [np.flatnonzero((labels == c) & odd)[: max(2, int(80 * 0.5**c))] for c in range(10)]
    return digits(np.concatenate(kept))


@pytest.fixture(scope="session")
def even_digits(long_tail: TrainingSet) -> TrainingSet:
    """All digits of the even rows, for testing."""
    return digits(np.arange(0, 1797, 2), like=long_tail)


@pytest.fixture
def small_set() -> TrainingSet:
    """Twelve random images of three classes: 4, 1 and 1 real ones, and 2 synthetic ones each."""
    generator = torch.Generator().manual_seed(0)
    return make_training_set(
        torch.randint(0, 256, (12, 1, 8, 8), dtype=torch.uint8, generator=generator),
        torch.tensor([0, 0, 0, 0, 1, 2, 0, 0, 1, 1, 2, 2]),
        num_classes=3,
        is_synthetic=torch.arange(12) >= 6,
        groups=torch.tensor([0, 0, 0, 1, 2, 4, -1, -1, -1, -1, -1, -1]),
        num_groups=6,
    )


@pytest.fixture
def stop_at(monkeypatch):
    """Return a context in which a signal arrives in the n-th step and persists."""

    @contextlib.contextmanager
    def within(step):
        asked = itertools.count(1)

        def stop():
            raise Interrupted("stopped")

        with monkeypatch.context() as patch:
            patch.setattr(signals, "is_requested", lambda: next(asked) >= step)
            patch.setattr(signals, "stop_here", stop)
            yield

    return within
