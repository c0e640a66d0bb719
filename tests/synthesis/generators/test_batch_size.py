import pytest

from synaug.errors import EnvironmentFault
from synaug.synthesis.generators.batch_size import BatchSize


def not_asked():
    pytest.fail("the memory was measured, for which the host waits")


def test_it_doubles_while_memory_is_left_and_never_again_after_memory_ran_out():
    batch = BatchSize(2, may_grow=True)
    for number, share in ((2, 0.1), (4, 0.3), (8, 0.6)):
        batch.grow(number, lambda share=share: share)
    assert batch.size == 8
    batch.halve(MemoryError())
    assert batch.size == 4
    batch.grow(4, not_asked)
    assert batch.size == 4


@pytest.mark.parametrize(
    ("size", "may_grow", "number"), [(2, False, 2), (4, True, 3), (64, True, 64)], ids=["given", "not full", "largest"]
)
def test_it_stays(size, may_grow, number):
    batch = BatchSize(size, may_grow=may_grow)
    batch.grow(number, not_asked)
    assert batch.size == size


def test_it_halves_down_to_one_image():
    batch = BatchSize(9, may_grow=False)
    for size in (4, 2, 1):
        batch.halve(MemoryError())
        assert batch.size == size
    with pytest.raises(EnvironmentFault, match="not enough memory for a single image"):
        batch.halve(MemoryError())
