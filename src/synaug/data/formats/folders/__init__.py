"""Read data sets given as folders: which folders are classes, splits or parts."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
