"""What ships inside the package: the demo's data and recipe, and the folder of the tiny diffusion pipeline."""

from __future__ import annotations

from pathlib import Path

ASSETS = Path(__file__).parents[1] / "assets"


def demo_data() -> Path:
    """Return the long-tailed Fashion-MNIST set of the demo."""
    return ASSETS / "fashion.parquet"


def demo_recipe() -> Path:
    """Return the options of the demo."""
    return ASSETS / "bench" / "demo.yaml"


def pipeline_folder() -> Path:
    """Return the embedded pipeline, a folder in the diffusers layout."""
    return ASSETS / "tiny-diffusion"
