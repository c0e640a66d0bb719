"""Write warnings for people: those that should not wait for the report, and those in it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from synaug.config import AUTO, EMBEDDED
from synaug.data import Manifest, class_counts
from synaug.pipeline.scorer import unknown_to_embedded
from synaug.report import may_not_need, number_or_nan
from synaug.runtime import agreeing, counted
from synaug.schemas import Result, Synthesis
from synaug.synthesis.planning import Plan

IN_DOMAIN = (
    "The embedded generator is in-domain: it was trained on other images of Fashion-MNIST, none of which is in the "
    "demo's training or test set, and plays the part that web-scale pretraining plays for a large model. What a "
    "large model does for your classes has to be measured on them."
)
OUT_OF_DOMAIN = (
    "The embedded generator knows the ten kinds of clothes of Fashion-MNIST and nothing else; some of your classes are "
    "not among them. Results with synthetic images say little here: use a model that knows your classes."
)


def model_note(plan: Plan) -> str:
    """Return a warning, before generation, that the model does not know the classes; empty if it may."""
    return OUT_OF_DOMAIN if plan.num_to_generate and plan.model == EMBEDDED and unknown_to_embedded(plan) else ""


def amount_note(plan: Plan) -> str:
    """Return the effect of ``plan.target: auto`` on the number of images; empty for other targets."""
    if plan.options.target != AUTO:
        return ""
    most = sum(cell.target - cell.have for cell in plan.cells)
    return (
        f"plan.target is auto: {plan.num_to_generate:,} of at most {most:,} images come first; 'synaug run' makes more "
        "as long as they raise mean recall on held-out training images."
    )


def warnings(plan: Plan, synthesis: Synthesis) -> list[str]:
    """Return warnings for readers of the results."""
    notes = []
    if plan.model == EMBEDDED and plan.num_to_generate:
        notes.append(model_note(plan) or IN_DOMAIN)
    if synthesis["missing"]:
        notes.append(
            f"{synthesis['missing']:,} of {synthesis['requested']:,} planned images are missing: every attempt was "
            "rejected. The set is less balanced than planned."
        )
    overruled = synthesis.get("review", {}).get("overruled", {})
    for reason in sorted(overruled.keys() & {"copy", "leak"}):
        what = "the training" if reason == "copy" else "the test"
        notes.append(
            f"Manual review accepted {counted(overruled[reason], 'image')} that "
            f"{agreeing(overruled[reason], 'looks like a copy', 'look like copies')} of {what} images. "
            + ("Results on the test images may be too good." if reason == "leak" else "They add little that is new.")
        )
    return notes


def may_not_need_images(manifest: Manifest, results: Sequence[Result]) -> str:
    """Return a note if training on real images alone already recognizes the rarest class, else an empty string."""
    counts = class_counts(manifest.split("train").labels, manifest.num_classes)
    rarest = manifest.class_names[int(counts.argmin())]
    recalls = {result["method"]: number_or_nan(result["per_class"].get(rarest)) for result in results}
    known = {method: recall for method, recall in recalls.items() if not math.isnan(recall)}
    best = max(known, key=lambda method: known[method], default="")
    num_tested = int((manifest.split("test").labels == counts.argmin()).sum())
    return may_not_need(rarest, best, known.get(best, math.nan), num_tested=num_tested)
