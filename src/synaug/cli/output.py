"""What a command ends with: JSON, or the report's table and summary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def print_json(content: Any) -> None:
    """Print JSON on stdout; NaN becomes null."""
    from synaug.storage import without_nan

    print(json.dumps(without_nan(content), indent=2, ensure_ascii=False))


def show_report(content: dict[str, Any], out: Path, *, as_json: bool) -> None:
    """Print the report's table, its summary and where the page lies."""
    if as_json:
        print_json(content)
        return
    from synaug import console

    console.show_results(content)
    console.show_summary(content, out / "report.html")
