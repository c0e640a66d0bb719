"""Turn class names, modifiers and attributes into prompts.  Text only: no models, no files."""

from __future__ import annotations

MODIFIERS = (
    "", "bright", "dark", "small", "large", "simple", "detailed", "typical", "unusual", "clean", "clear",
    "close-up", "cropped", "good", "new", "old", "nice", "sharp", "soft", "vivid", "natural",
)  # fmt: skip
