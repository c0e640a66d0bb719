"""Train a network on a balanced set: batches, mixing, losses, the loop and its checkpoints."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
