"""Measure classifiers on real held-out images: scores, intervals, fairness, long tail, spurious correlation."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
