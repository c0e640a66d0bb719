"""Interpret labels: names, numbers and attributes, and whether they are plausible."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
