"""Describe in sentences how a run would train, choose and judge its classifiers, and how long each takes."""

from __future__ import annotations

from synaug.cli.printing.terminal import escape
from synaug.runtime import duration_in_words
from synaug.schemas.command_output import ChoosingPreview, RunPreview

_QUICK_SIDE = 32  # pixels that a CPU trains with in minutes


def training_sentences(plan: RunPreview) -> list[str]:
    """Return sentences, with rich's markup, about the training of ``preview_run``; none without methods."""
    if not plan["methods"]:
        return []
    from synaug.training.networks import network_title

    times = f", each with {plan['num_seeds']} seeds" if plan["num_seeds"] > 1 else ""
    network = network_title(plan["network"])
    said = [
        f"Then training and testing: {', '.join(plan['methods'])}{times}; {escape(network)}, images of "
        f"{plan['image_size']} pixels, {_each(plan['length'])}{_about(plan['training_seconds'], ' of training')}.",
        _choosing(plan["choosing"]),
    ]
    if plan["finalist_seconds"]:
        said.append(
            "The chosen classifier and its best rival are also trained if they are not among these methods: at most "
            f"{duration_in_words(plan['finalist_seconds'])} more."
        )
    if plan["cross_validation"]["folds"]:
        said.append(
            f"Then {plan['cross_validation']['folds']}-fold cross-validation, since few images are held out for testing"
            f"{_about(plan['cross_validation']['seconds'])} (--folds 0: none)."
        )
    if plan["start"]:
        said.append(escape(plan["start"]))
    if plan["device"] == "cpu" and plan["image_size"] > _QUICK_SIDE and _is_long(plan["length"]):
        faster = "--preset quick" if plan["pretrained"] else f"--image-size {_QUICK_SIDE}"
        said.append(f"[yellow]Note:[/] no GPU was found; {faster} is faster.")
    return said


def _each(length: str) -> str:
    return f"{length} each" if _is_long(length) else length


def _is_long(length: str) -> bool:
    """Return whether whole networks are trained: a length in steps or epochs, not that of last layers alone."""
    return length[0].isdigit()


def _choosing(choosing: ChoosingPreview) -> str:
    number = f"{choosing['candidates']} candidates"
    if choosing["folds"] is None:
        return f"The classifier is chosen among {number} on the validation images{_about(choosing['seconds'])}."
    return (
        f"The classifier is chosen among {number} in {choosing['folds']} folds of the training images"
        f"{_about(choosing['seconds'])} (--budget MINUTES limits it)."
    )


def _about(seconds: float | None, what: str = "") -> str:
    return "" if seconds is None else f"; about {duration_in_words(seconds)}{what} on this machine"
