"""Make images from prompts: diffusion pipelines, image services, and the user's own functions."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
