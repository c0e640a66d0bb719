"""Word numbers in sentences: the forms of nouns and verbs, and durations."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
