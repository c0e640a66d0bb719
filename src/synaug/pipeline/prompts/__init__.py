"""The prompts of a run: show them, write them to a file, or have a language model write them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
