"""Read data sets given as objects in memory: arrays, tensors, images, data frames."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
