"""Infer the pixel value of full brightness from the range of the values."""

from __future__ import annotations

import math

from synaug.errors import DataError

EIGHT_BIT, SIXTEEN_BIT = 255.0, 65535.0
_ALMOST_ONE = 1.05  # resampling a picture in 0 to 1 overshoots a little
_LEAST_EIGHT_BIT = 16  # floats in between may be radiance, or anything else


def white_level(low: float, high: float, *, is_float: bool) -> float:
    """Return the value of full brightness: 1, 255 or 65,535.

    Args:
        low: smallest value of the images that share the scale.
        high: their largest value.
        is_float: whether the values are floats; integers are never in the range 0 to 1.

    Raises:
        DataError: the range cannot be scaled without guessing; the message lacks its subject.

    >>> white_level(0, 1, is_float=True), white_level(0, 1, is_float=False), white_level(3, 4000, is_float=False)
    (1.0, 255.0, 65535.0)
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        raise DataError("has pixels that are not finite numbers")
    if low < 0 or high > SIXTEEN_BIT:
        hint = ". Leave the normalizing transform out" if is_float and low < 0 else ""
        raise DataError(
            f"has pixels from {low:g} to {high:g}; allowed: 0 to 1 (floats), 0 to 255 and 0 to 65,535{hint}"
        )
    if is_float and _ALMOST_ONE < high < _LEAST_EIGHT_BIT:
        raise DataError(
            f"has floating-point pixels up to {high:g}, neither of the range 0 to 1 nor 0 to 255. Scale them to 0 to 1"
        )
    if is_float and high <= _ALMOST_ONE:
        return 1.0
    return EIGHT_BIT if high <= EIGHT_BIT else SIXTEEN_BIT
