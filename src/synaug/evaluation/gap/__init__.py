"""Measure how far synthetic images are from real ones, and whether they can be trained on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
