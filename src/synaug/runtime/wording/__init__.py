"""Word numbers and names in sentences: the forms of nouns and verbs, durations, and the names of measures."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
