"""Train a network on a training set: the one training loop.

All randomness in a step follows from (seed, step). A training that was killed and resumed from its checkpoint thus ends
with the same weights as an uninterrupted one, bit for bit on a CPU.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
