"""Provide a fictional report of ten classes in the format of real ones, and fictional images."""

from typing import Any

import numpy as np
import pytest
from PIL import Image

from synaug.report.html import ReportImages
from synaug.report.svg import confused_pairs

NAMES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
COUNTS = (500, 324, 210, 136, 88, 57, 37, 24, 15, 10)
RECALLS = {
    "cross_entropy": (0.89, 0.96, 0.81, 0.86, 0.74, 0.72, 0.32, 0.68, 0.41, 0.56),
    "cross_entropy_retrained": (0.83, 0.95, 0.73, 0.84, 0.72, 0.78, 0.44, 0.75, 0.60, 0.70),
    "oversampling": (0.85, 0.95, 0.75, 0.85, 0.74, 0.80, 0.45, 0.77, 0.63, 0.79),
    "synaug_stage1": (0.84, 0.96, 0.74, 0.84, 0.73, 0.84, 0.50, 0.80, 0.82, 0.86),
    "synaug": (0.80, 0.96, 0.74, 0.85, 0.74, 0.86, 0.57, 0.82, 0.85, 0.88),
}


def make_results(seeds: int = 1) -> list[dict[str, Any]]:
    results = []
    for method, recalls in RECALLS.items():
        for seed in range(seeds):
            moved = [recall + 0.01 * (seed - (seeds - 1) / 2) for recall in recalls]
            results.append(
                {
                    "method": method,
                    "seed": seed,
                    "uses_synthetic": method.startswith("synaug"),
                    "is_bound": method.startswith("upper_bound"),
                    "accuracy": float(np.mean(moved)),
                    "many": float(np.mean(moved[:4])),
                    "medium": float(np.mean(moved[4:8])),
                    "few": float(np.mean(moved[8:])),
                    "worst_class": min(moved),
                    "per_class": dict(zip(NAMES, moved, strict=True)),
                    "seconds": 31.0,
                }
            )
    return results


def make_confusions(seed: int) -> dict[str, Any]:
    matrix = np.random.default_rng(seed).integers(1, 9, (10, 10)) + 90 * np.eye(10, dtype=int)
    return {"matrix": matrix.tolist(), "pairs": [list(pair) for pair in confused_pairs(matrix, NAMES)]}


def make_content(seeds: int = 1) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "synaug_version": "0.1.0",
        "name": "demo",
        "created": "2026-03-01T10:20:30+00:00",
        "command": "synaug demo --out runs/demo",
        "machine": "2 cores, 4 GB, no GPU",
        "seconds": 254.3,
        "data": {
            "source": "long-tailed Fashion-MNIST (packaged)",
            "num_images": sum(COUNTS),
            "num_test_images": 2000,
            "class_names": list(NAMES),
            "class_counts": dict(zip(NAMES, COUNTS, strict=True)),
            "group_counts": {},
            "imbalance_factor": 50.0,
            "many": 4,
            "medium": 4,
            "few": 2,
            "quarantined": [["train/coat/0017.png", "cannot be decoded: image file is truncated"]],
        },
        "plan": {
            "by": "class",
            "target": "uniform",
            "variant": "text",
            "model": "embedded",
            "template": "a photo of a {modifier} {class}",
            "num_to_generate": {name: 500 - count for name, count in zip(NAMES, COUNTS, strict=True)},
            "digest": "7b0c1f9a2e44",
            "prompts": {name: [f"a photo of a worn {name}", f"a photo of a plain {name}"] for name in NAMES[1:]},
        },
        "synthesis": {
            "requested": 3599,
            "accepted": 3599,
            "missing": 0,
            "rejected": {"off_class": 171, "copy": 29, "broken": 12},
            "seconds": 88.1,
            "images_per_second": 43.3,
            "model": {"family": "stable-diffusion", "license": "Apache-2.0", "steps": 12, "guidance": 3.0, "size": 32},
            "rejected_by_class": {"shirt": {"off_class": 96}, "coat": {"off_class": 44, "broken": 12}},
        },
        "training": {
            "network": "resnet8",
            "steps": 400,
            "batch_size": 128,
            "learning_rate": 0.1,
            "methods": {
                "cross_entropy": "Real images only, weight decay tuned.",
                "cross_entropy_retrained": "The same, then the last layer retrained on 10 real images per class.",
                "oversampling": "Real images only, every class drawn equally often.",
                "synaug_stage1": "Real and synthetic images, mixed by Mixup.",
                "synaug": "The same, then the last layer retrained on 10 real images per class.",
            },
        },
        "results": make_results(seeds),
        "confusions": {name: make_confusions(number) for number, name in enumerate(("cross_entropy", "synaug"))},
        "versions": {"synaug": "0.1.0", "torch": "2.10.0"},
        "disk": {"synthetic": 15_200_000, "checkpoints": 4_100_000, "all": 24_000_000},
        "warnings": [
            "The embedded generator was trained on other images of the same source: it is an in-domain generator."
        ],
        "repeat": ["git clone https://example.org/synaug && cd synaug", "make demo"],
    }


def make_images(side: int = 28) -> ReportImages:
    rng = np.random.default_rng(0)

    def picture() -> Image.Image:
        return Image.fromarray(rng.integers(0, 256, (side, side), dtype=np.uint8))

    return ReportImages(
        real={name: [picture() for _ in range(3)] for name in NAMES},
        synthetic={name: [picture() for _ in range(3)] for name in NAMES[1:]},
        rejected={"coat": [(picture(), "off_class")]},
    )


@pytest.fixture
def content():
    """A report with one seed per method."""
    return make_content()


@pytest.fixture
def content_of_three_seeds():
    return make_content(3)


@pytest.fixture
def images():
    return make_images()
