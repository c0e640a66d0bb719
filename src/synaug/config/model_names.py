"""Define the names of models in options: folders, Hub ids or services, never URLs."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

STABLE_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"
SIGLIP = "google/siglip-base-patch16-224"
EMBEDDED = "embedded"


def _no_url(model: str) -> str:
    """Reject a URL: the plan and the lock file would record it, with any password in it."""
    if "://" in model:
        raise ValueError(
            "a model is a folder or a Hub id (ID@REVISION), not a URL; for a gated or private one log in with "
            "'hf auth login' or set HF_TOKEN, and never put a token into an option"
        )
    return model


ModelName = Annotated[str, AfterValidator(_no_url)]
