"""Files, processes, devices, messages and progress: the base of every other package."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
