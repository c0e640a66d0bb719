"""Make images with a service: OpenAI's API and compatible ones, ComfyUI."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
