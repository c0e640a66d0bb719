"""Files shipped inside the package: the demo's data and recipe."""

from __future__ import annotations

from pathlib import Path

ASSETS = Path(__file__).parents[1] / "assets"


def demo_data() -> Path:
    """Return the path of the demo's long-tailed Fashion-MNIST data (Parquet)."""
    return ASSETS / "fashion.parquet"


def demo_recipe() -> Path:
    """Return the path of the demo's recipe."""
    return ASSETS / "bench" / "demo.yaml"
