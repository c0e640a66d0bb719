"""Balance image classification sets with synthetic images and measure the effect on real held-out images.

>>> import synaug
>>> synaug.imbalance_factor([500, 10])
50.0

Importing the package loads neither torch nor diffusers; each name below is imported on first use.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
