"""Find the files of a model, the settings of its family, and how its guidance changes between steps."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
