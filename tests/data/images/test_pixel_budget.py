import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from synaug.data.images import codec
from synaug.data.images.codec import decoded, encoded
from synaug.data.images.pixel_budget import PixelBudget


def test_threads_reserve_no_more_pixels_at_a_time_than_are_allowed():
    budget, most, lock = PixelBudget(100), [], threading.Lock()
    inside: list[int] = []

    def work(pixels):
        with budget.reserved(pixels):
            with lock:
                inside.append(pixels)
                most.append(sum(inside))
            time.sleep(0.002)
            with lock:
                inside.remove(pixels)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, [100, 1, 60, 50, 30, 100, 99, 1] * 5))
    assert max(most) <= 100
    assert sorted(set(most))[-1] > 1


def test_decoding_gives_back_what_it_reserved(monkeypatch):
    monkeypatch.setattr(codec, "BUDGET", PixelBudget(50))
    data = encoded(np.zeros((5, 10), np.uint8))
    assert decoded(data).size == (10, 5)
    assert decoded(data).size == (10, 5)
