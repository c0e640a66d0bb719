"""Untrusted text, secrets, and code that runs only if the user named it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
