"""Find the batch size that fits into the memory of a device."""

from __future__ import annotations

from collections.abc import Callable

from synaug.errors import EnvironmentFault

_LARGEST = 64  # when the batch size is found by trial
_ROOMY = 0.45  # share of the memory in use below which a batch twice as large fits


class BatchSize:
    """A number of images per batch that adapts to the memory of the device.

    Attributes:
        size: the current number.
        may_grow: whether it still may double; never again after memory ran out.
    """

    def __init__(self, size: int, *, may_grow: bool) -> None:
        self.size, self.may_grow = size, may_grow

    def grow(self, number: int, memory_share: Callable[[], float]) -> None:
        """Double the size after a full batch that left more than half of the memory free.

        Args:
            number: images in the batch.
            memory_share: returns the share of the memory that was in use, 0 to 1; called only if it matters.
        """
        if self.may_grow and number == self.size and number < _LARGEST and memory_share() < _ROOMY:
            self.size *= 2

    def halve(self, error: Exception) -> None:
        """Halve the size after an error of missing memory.

        Raises:
            EnvironmentFault: not even a single image fits.
        """
        if self.size == 1:
            raise EnvironmentFault(
                "The device has not enough memory for a single image. Use a smaller generate.size or model, "
                "float16, or another device."
            ) from error
        self.size, self.may_grow = self.size // 2, False
