"""Describe the cost of an image service in a sentence."""

from __future__ import annotations

import re

from synaug.runtime import counted


def service_cost(cost: float, images: int, *, price: float, budget: float | None) -> str:
    """Return a sentence about the cost of this number of images from a service, at a price per image.

    >>> service_cost(0.22, 20, price=0.011, budget=5.0)
    'Cost of the service: about 0.22 (20 images at 0.011); the budget is 5.00.'
    """
    if not price:
        return "Cost of the service: unknown, since the price per image is not set (api.price)."
    limit = "no budget is set (api.max_cost)" if budget is None else f"the budget is {money(budget)}"
    number = counted(images, "image")
    return f"Cost of the service: about {money(cost)} ({number} at {money(price)}); {limit}."


def money(amount: float) -> str:
    """Return an amount with two digits after the point, or more if they are not zero.

    >>> money(1234.5), money(0.0025)
    ('1,234.50', '0.0025')
    """
    return re.sub(r"(\.\d\d\d*?)0+$", r"\1", f"{amount:,.6f}")
