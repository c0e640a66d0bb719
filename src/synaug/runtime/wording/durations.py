"""Word durations: as on a clock, or in units."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a duration such as 0:42, 12:05 or 3:07:00.

    >>> duration(42), duration(11220)
    ('0:42', '3:07:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def duration_in_words(seconds: float) -> str:
    """Return a duration in two units at most, such as 4.2 s, 42 s, 3 min 20 s or 3 h 7 min.

    >>> duration_in_words(4.24), duration_in_words(42), duration_in_words(200), duration_in_words(11220)
    ('4.2 s', '42 s', '3 min 20 s', '3 h 7 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s" if seconds < 10 else f"{rest} s"
