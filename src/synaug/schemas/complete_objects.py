"""Objects of a JSON file that are either empty or have all their required keys."""

from __future__ import annotations

from pydantic import BeforeValidator


def empty_or_with(*keys: str) -> BeforeValidator:
    """Return a validator of an object that is empty or has these keys, and any others."""

    def check(value: object) -> object:
        missing = [key for key in keys if key not in value] if isinstance(value, dict) and value else []
        if missing:
            raise ValueError(f"{missing[0]} is missing")
        return value

    return BeforeValidator(check)
