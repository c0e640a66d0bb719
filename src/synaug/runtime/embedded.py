"""What ships inside the package: the demo's data and recipe."""

from __future__ import annotations

from pathlib import Path

ASSETS = Path(__file__).parents[1] / "assets"


def demo_data() -> Path:
    """Return the long-tailed Fashion-MNIST set of the demo."""
    return ASSETS / "fashion.parquet"


def demo_recipe() -> Path:
    """Return the options of the demo."""
    return ASSETS / "bench" / "demo.yaml"
