"""Test inference: when memory runs out, smaller batches give the same result."""

import pytest
import torch
from torch import nn

from synaug.errors import EnvironmentFault
from synaug.training.inference import predict

CPU_IS_FULL = "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: error code 12"


class Small(nn.Module):
    """Has memory for a limited number of images."""

    def __init__(self, room, error=None):
        super().__init__()
        self.room, self.sizes, self.error = room, [], error or RuntimeError(CPU_IS_FULL)

    def forward(self, images):
        self.sizes.append(len(images))
        if len(images) > self.room:
            raise self.error
        return images.flatten(1)[:, :3]


@pytest.mark.parametrize(
    "error", [RuntimeError(CPU_IS_FULL), torch.OutOfMemoryError("CUDA out of memory."), MemoryError()]
)
def test_the_batch_is_halved_until_it_fits(small_set, error):
    expected = predict(Small(100), small_set, device="cpu")
    model = Small(2, error)
    assert torch.equal(predict(model, small_set, batch_size=8, device="cpu"), expected)
    assert model.sizes == [8, 4, 2, 2, 2, 2, 2, 2]


def test_a_single_image_that_does_not_fit_is_a_fault_of_the_environment(small_set):
    with pytest.raises(EnvironmentFault, match=r"Out of memory for a single image"):
        predict(Small(0), small_set, batch_size=8, device="cpu")


def test_another_error_is_passed_on(small_set):
    with pytest.raises(RuntimeError, match="another"):
        predict(Small(0, RuntimeError("another")), small_set, device="cpu")
