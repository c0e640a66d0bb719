"""Compute the details at the end of the HTML report, such as settings or costs."""

from __future__ import annotations

from collections.abc import Mapping

from synaug.schemas import Report


def settings(content: Mapping[str, object], *, prefix: str = "") -> list[tuple[str, object]]:
    """Return nested options as one flat list of dotted names and values."""
    flat: list[tuple[str, object]] = []
    for name, value in content.items():
        if isinstance(value, dict):
            flat += settings(value, prefix=f"{prefix}{name}.")
        else:
            flat.append((f"{prefix}{name}", ", ".join(map(str, value)) if isinstance(value, list) else value))
    return flat


def costs(report: Report) -> list[tuple[str, str, float]]:
    """Return the costs of the run, as label, kind of number and number."""
    synthesis, disk = report["synthesis"], report.get("disk") or {}
    rows = [
        ("Making images", "duration", synthesis.get("seconds")),
        ("Images per second", "number", synthesis.get("images_per_second")),
        ("Training", "duration", report["training"].get("seconds")),
        ("Disk, synthetic images", "size", disk.get("synthetic")),
        ("Disk, trained networks", "size", disk.get("checkpoints")),
        ("Disk, all of the run", "size", disk.get("all")),
    ]
    return [(label, kind, number) for label, kind, number in rows if number is not None]
