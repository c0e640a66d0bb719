"""Every option with its default and its validation, a file per section of a recipe.

A recipe is a YAML file with these sections, read by ``recipes``; the command line sets the same fields.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
