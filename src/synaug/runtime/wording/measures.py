"""Word the names of measures, such as the keys of report.json, for people."""

from __future__ import annotations

_ENDINGS = {"_worst": ", worst class", "_mean": ", mean"}


def measure_in_words(name: str) -> str:
    """Return the name of a measure without underscores; measures that take each class as positive say which.

    >>> measure_in_words("worst_group_accuracy"), measure_in_words("equalized_odds_difference_worst")
    ('worst group accuracy', 'equalized odds difference, worst class')
    """
    ending = next((ending for ending in _ENDINGS if name.endswith(ending)), "")
    return name.removesuffix(ending).replace("_", " ") + _ENDINGS.get(ending, "")
