"""Compute the content of each part of the HTML report: plain rows, pictures and sentences, no HTML."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
