"""Balance image classification sets with synthetic images and measure the effect on real held-out images.

>>> import synaug
>>> synaug.imbalance_factor([500, 10])
50.0

Importing the package loads neither torch nor diffusers; each name below is imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from synaug.config import Recipe
    from synaug.data.export.conversion import to_arrays, to_datasets, to_frame, to_torch
    from synaug.data.groups import class_counts, group_counts, imbalance_factor
    from synaug.data.manifest import Manifest, from_arrays
    from synaug.data.readers import read_data
    from synaug.evaluation.fairness import fairness_report
    from synaug.evaluation.longtail import longtail_report
    from synaug.evaluation.predictions import evaluate_predictions
    from synaug.evaluation.spurious import spurious_report
    from synaug.experiment import balance, run
    from synaug.oversampler import SyntheticOverSampler
    from synaug.pipeline.export_classifier import export_classifier
    from synaug.pipeline.predict import load_classifier
    from synaug.recipes import read_recipe
    from synaug.runtime.trust import trusting
    from synaug.synthesis.execution.worker import synthesize
    from synaug.synthesis.generators.loading import load_generator
    from synaug.synthesis.planning.plan import make_plan
    from synaug.training.last_layer.features import labelled_features
    from synaug.training.last_layer.retrain import retrain_classifier
    from synaug.training.loop import train_representation

_HOMES = {
    "Manifest": "data.manifest",
    "Recipe": "config",
    "SyntheticOverSampler": "oversampler",
    "balance": "experiment",
    "class_counts": "data.groups",
    "evaluate_predictions": "evaluation.predictions",
    "export_classifier": "pipeline.export_classifier",
    "fairness_report": "evaluation.fairness",
    "from_arrays": "data.manifest",
    "group_counts": "data.groups",
    "imbalance_factor": "data.groups",
    "labelled_features": "training.last_layer.features",
    "load_classifier": "pipeline.predict",
    "load_generator": "synthesis.generators.loading",
    "longtail_report": "evaluation.longtail",
    "make_plan": "synthesis.planning.plan",
    "read_data": "data.readers",
    "read_recipe": "recipes",
    "retrain_classifier": "training.last_layer.retrain",
    "run": "experiment",
    "spurious_report": "evaluation.spurious",
    "synthesize": "synthesis.execution.worker",
    "to_arrays": "data.export.conversion",
    "to_datasets": "data.export.conversion",
    "to_frame": "data.export.conversion",
    "to_torch": "data.export.conversion",
    "train_representation": "training.loop",
    "trusting": "runtime.trust",
}

__all__ = [
    "Manifest",
    "Recipe",
    "SyntheticOverSampler",
    "balance",
    "class_counts",
    "evaluate_predictions",
    "export_classifier",
    "fairness_report",
    "from_arrays",
    "group_counts",
    "imbalance_factor",
    "labelled_features",
    "load_classifier",
    "load_generator",
    "longtail_report",
    "make_plan",
    "read_data",
    "read_recipe",
    "retrain_classifier",
    "run",
    "spurious_report",
    "synthesize",
    "to_arrays",
    "to_datasets",
    "to_frame",
    "to_torch",
    "train_representation",
    "trusting",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'synaug' has no attribute {name!r}")
    return getattr(importlib.import_module(f"synaug.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
