"""Balance image classification sets with synthetic images and measure the effect on real held-out images.

>>> import synaug
>>> synaug.imbalance_factor([500, 10])
50.0

Importing the package loads neither torch nor diffusers; each name below is imported on first use, and one that needs a
library of an extra that is not installed raises a ``MissingLibraryError``.
"""

from typing import Any

import lazy_loader

__version__ = "0.1.0"

_imported, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
_RENAMED = {"labelled_features": "labeled_features"}  # until November 2026


def __getattr__(name: str) -> Any:
    try:
        return _imported(_RENAMED.get(name, name))
    except ModuleNotFoundError as error:
        from synaug.runtime import missing_library

        raise missing_library(error, f"synaug.{name}") or error from error
