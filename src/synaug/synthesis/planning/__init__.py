"""Decide how many images each class or group lacks, and with which prompts and seeds to make them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
