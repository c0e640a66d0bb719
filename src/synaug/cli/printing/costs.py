"""Sentences about money: what an image service costs."""

from __future__ import annotations

import re
from typing import Any


def service_cost(cost: dict[str, Any], images: int) -> str:
    """Return a sentence about what a service will cost: ``price`` per image, of the ``images``, and the ``budget``.

    >>> service_cost({"price": 0.011, "images": 0.22, "budget": 5.0}, 20)
    'Cost of the service: 0.22 (20 images at 0.011); the budget is 5.00.'
    """
    if not cost["price"]:
        return "Cost of the service: unknown, since the price per image is not set (api.price)."
    budget = "no budget is set (api.max_cost)" if cost["budget"] is None else f"the budget is {money(cost['budget'])}"
    number = "1 image" if images == 1 else f"{images:,} images"
    return f"Cost of the service: {money(cost['images'])} ({number} at {money(cost['price'])}); {budget}."


def money(amount: float) -> str:
    """Return an amount with two digits after the point, or more if they are not zero.

    >>> money(1234.5), money(0.0025)
    ('1,234.50', '0.0025')
    """
    return re.sub(r"(\.\d\d\d*?)0+$", r"\1", f"{amount:,.6f}")
