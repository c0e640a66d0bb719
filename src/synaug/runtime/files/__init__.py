"""Change files inside folders that synaug owns: descriptors, locks, names, removal. Use it via ``runtime.storage``."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
