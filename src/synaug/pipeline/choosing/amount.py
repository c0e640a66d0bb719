"""Decide how many synthetic images a run makes (``plan.target: auto``), round by round.

The first round makes a quarter of the images that each class or group lacks, later ones half of them and all. After
each, a method with synthetic images is judged on held-out real images, as for the choice of the classifier. Another
round follows if mean recall rose by more than one standard error: in the first round, over a method without synthetic
images. Classes of a shot bin whose own mean recall fell by more than that are left as they are. If the last round made
mean recall fall, the plan goes back to the round before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from synaug.config import AUTO, Recipe
from synaug.data import class_counts, group_mean, group_mean_error, shot_bins
from synaug.errors import DataError
from synaug.methods import load_sets, uses_autoencoder
from synaug.pipeline.choosing.candidates import uses_synthetic
from synaug.pipeline.choosing.choose import (
    Judged,
    affordable_effort,
    cross_fitted_predictions,
    key_of,
    knows_groups,
    on_validation,
    validation_set,
)
from synaug.run_directory import Run, RunPaths, replace_plan
from synaug.runtime import Progress, silent, storage
from synaug.runtime.records import read_form, write_sealed
from synaug.schemas import Amount, Decision, Gain, Gains, Round
from synaug.synthesis.generators import autoencode
from synaug.synthesis.planning import ROUNDS, Plan, with_shares

SCHEMA_VERSION = 1
WITHOUT = "balanced_mixup_retrained"  # compared with if the run trains no method on real images alone
_DAMAGED = "Remove it and repeat the 'synaug run' command, which decides again; no image is lost."


def read_amount(path: Path) -> Amount:
    """Return the rounds of a run; empty if there were none.

    Raises:
        DataError: the file is damaged.
    """
    needs = ("key", "methods", "shares", "rounds", "is_final", "right", "most")
    return read_form(RunPaths(path).amount, Amount, needs=needs, way_out=_DAMAGED)


def planned_so_far(plan: Plan, out: Path) -> Plan:
    """Return a plan with ``target: auto`` after the rounds in the run directory; others are returned unchanged."""
    if plan.options.target != AUTO:
        return plan
    known = read_amount(out).get("shares", {})
    return with_shares(plan, [known.get(cell.name, ROUNDS[0]) for cell in plan.cells])


def with_more_images(run: Run, methods: Sequence[str], *, progress: Progress = silent) -> Run | None:
    """Judge the images of a run, write the decision to ``amount.json``, and return the run with its new plan, if any.

    Args:
        run: a run with all images of its plan.
        methods: the methods of the run. Its last one with and its last one without synthetic images are compared.
        progress: called with the progress so far.

    Returns:
        None if the plan stays as it is: the amount is decided, or ``plan.target`` is not auto.
    """
    recipe, plan = run.recipe, run.plan
    with_images = [name for name in methods if uses_synthetic(name, recipe)]
    if plan.options.target != AUTO or not with_images or not plan.num_to_generate:
        return None
    without = [name for name in methods if not uses_synthetic(name, recipe)]
    compared = [without[-1] if without else WITHOUT, with_images[-1]]
    key = key_of(compared, recipe, run, synthetic="")  # the same in all rounds
    known = read_amount(run.path)
    if known.get("key") != key:  # of other options or images: the amount stays, its reasons do not
        known = {"shares": known["shares"]} if "shares" in known else {}
    if known.get("is_final"):
        return None
    judged = held_out_judgment(compared[1:] if "right" in known else compared, run, recipe, progress=progress)
    right = judged.predictions == judged.labels[:, None]
    before = _recognized_before(known, run, len(right)) if "right" in known else right[:, 0]
    cells = judged.groups if knows_groups(run.manifest) else judged.labels
    counts = class_counts(run.manifest.split("train").labels, run.manifest.num_classes)
    found = gains(right[:, -1].astype(float) - before, cells, bins_of(judged.labels, counts))
    content: Amount = {
        "schema_version": SCHEMA_VERSION,
        "key": key,
        "methods": compared,
        "right": "".join("01"[int(each)] for each in right[:, -1]),
        "most": sum(cell.target - cell.have for cell in plan.cells),
        **decided(known, plan, found, bins_of(np.array([cell.label for cell in plan.cells]), counts)),
    }
    # First the decision, then the plan that follows from it: the next run makes up for an interruption in between.
    write_sealed(run.amount, content)
    new = planned_so_far(plan, run.path)
    return None if new == plan else replace_plan(run, new)


def _recognized_before(known: Amount, run: Run, num: int) -> np.ndarray:
    """Return which held-out images the round before recognized, bool of shape ``(num,)``.

    Raises:
        DataError: the file is of other images.
    """
    digits = known.get("right", "")
    if len(digits) != num:
        raise DataError(f"{run.amount} is damaged: it is about {len(digits)} held-out images, not {num}. {_DAMAGED}")
    return np.array([digit == "1" for digit in digits], bool)


def decided(known: Amount, plan: Plan, found: Gains, bins: Sequence[str]) -> Decision:
    """Return the shares of the missing images that the plan should have now, with the rounds so far.

    Args:
        known: the rounds before.
        plan: the plan of this round.
        found: the gains of this round.
        bins: shot bin of each cell of the plan.
    """
    shares = known.get("shares") or {cell.name: ROUNDS[0] for cell in plan.cells}
    this: Round = {"num_images": plan.num_to_generate, "shares": shares, **found}
    rounds = [*known.get("rounds", []), this]
    wanted = next_shares(shares, dict(zip(shares, bins, strict=True)), found)
    is_final = wanted == shares
    if is_final and len(rounds) > 1 and _fell(found["all"]):
        wanted = rounds[-2]["shares"]  # the images of this round stay on the disk, but nothing uses them
    return {"shares": wanted, "rounds": rounds, "is_final": is_final}


def held_out_judgment(names: Sequence[str], run: Run, recipe: Recipe, *, progress: Progress) -> Judged:
    """Return the predictions of methods on real images that they did not learn from, as for the choice.

    Trainings with the images of this round keep their states apart from the run's own, which will have more images.
    """
    manifest = run.manifest
    autoencoded = uses_autoencoder(names, recipe)
    if autoencoded:
        autoencode(run.plan, manifest.split("train"), run.path, device=recipe.generate.device, progress=progress)
    sets = load_sets(run, recipe.train, autoencoded=autoencoded, progress=progress)
    held_out = validation_set(manifest, sets)
    if held_out is None:
        judged = cross_fitted_predictions(
            names, sets, manifest, run, recipe, key_of(names, recipe, run),
            effort=affordable_effort(names, recipe, run), with_groups=knows_groups(manifest), progress=progress,
        )  # fmt: skip
    else:
        apart = RunPaths(storage.make_folder(run.choosing))
        places = [apart if uses_synthetic(name, recipe) else run for name in names]
        each = [
            on_validation([name], sets, held_out, place, recipe, progress)
            for name, place in zip(names, places, strict=True)
        ]
        judged = Judged(np.column_stack([one.predictions for one in each]), each[0].labels, each[0].groups)
    storage.remove_tree(run.choosing)
    return judged


def bins_of(labels: np.ndarray, counts: np.ndarray) -> list[str]:
    """Return the shot bin of each label's class: many, medium or few."""
    bins = shot_bins(counts)
    names = np.where(bins.many, "many", np.where(bins.few, "few", "medium"))
    return names[labels].tolist()


def gains(differences: np.ndarray, cells: np.ndarray, bins: Sequence[str]) -> Gains:
    """Return the mean gain in recall, over all classes or groups and over those of each shot bin.

    Args:
        differences: 1 for a newly recognized held-out image, -1 for one no longer recognized, else 0; shape ``(M,)``.
        cells: class or group of each, over which the mean is taken, shape ``(M,)``.
        bins: shot bin of each, of length M.
    """

    def of(chosen: np.ndarray) -> Gain:
        return {
            "gain": _known(group_mean(differences[chosen], cells[chosen])),
            "error": _known(group_mean_error(differences[chosen], cells[chosen])),
        }

    named = np.asarray(bins)
    return {"all": of(np.ones(len(cells), bool)), "bins": {name: of(named == name) for name in sorted(set(bins))}}


def next_shares(shares: Mapping[str, float], bins: Mapping[str, str], found: Gains) -> dict[str, float]:
    """Return the share of the missing images to make next, by class or group; unchanged if more are not worth it.

    >>> half = {"gain": 0.05, "error": 0.01}
    >>> next_shares({"cat": 0.25, "dog": 0.25}, {"cat": "few", "dog": "many"}, {
    ...     "all": half, "bins": {"few": half, "many": {"gain": -0.04, "error": 0.02}}})
    {'cat': 0.5, 'dog': 0.25}
    """
    if not _rose(found["all"]):
        return dict(shares)
    return {name: share if _fell(found["bins"][bins[name]]) else _next(share) for name, share in shares.items()}


def _next(share: float) -> float:
    return next((each for each in ROUNDS if each > share), share)


def _rose(gain: Gain) -> bool:
    return gain["gain"] is not None and gain["gain"] > (gain["error"] or 0.0)


def _fell(gain: Gain) -> bool:
    return gain["gain"] is not None and gain["gain"] < -(gain["error"] or 0.0)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
