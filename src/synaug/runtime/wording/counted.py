"""Word numbers: the right form of a noun and of a verb for one thing and for several."""

from __future__ import annotations

_HISSING = ("s", "x", "ch", "sh")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "class"), counted(2, "class"), counted(1200, "test image")
    ('1 class', '2 classes', '1,200 test images')
    """
    return f"{number:,} {noun if number == 1 else noun + ('es' if noun.endswith(_HISSING) else 's')}"


def agreeing(number: int, one: str, several: str) -> str:
    """Return the first form for one thing and the second for any other number.

    >>> f"{counted(1, 'image')} {agreeing(1, 'has', 'have')} no label"
    '1 image has no label'
    """
    return one if number == 1 else several
