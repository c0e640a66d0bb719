"""Read data sets in all supported forms: folders, tables, shards, arrays and image files."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
