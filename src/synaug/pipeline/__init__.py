"""The stages of a run, each a function that takes a run directory from one state to the next."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
