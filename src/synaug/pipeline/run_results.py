"""Read the finished work of a run: the results of its methods, the choice among them, and their cross-validation."""

from __future__ import annotations

from collections.abc import Sequence

from synaug.config import Recipe
from synaug.errors import DataError
from synaug.methods import METHODS, images_digest, is_current, is_of_options, read_result, registered
from synaug.pipeline.measure_gap import unusable
from synaug.run_directory import Run, RunPaths, method_and_seed
from synaug.runtime.records import read_form
from synaug.runtime.security import shell_word
from synaug.schemas import Choice, CrossValidation, Result
from synaug.synthesis.execution import synthetic_manifest

CLASSIFIER = "classifier.safetensors"
CHOOSE_AGAIN = "Remove it and repeat the 'synaug run' command, which chooses again."
JUDGE_AGAIN = "Remove it and repeat the 'synaug run' command, which computes it again."


def finished_results(run: RunPaths, recipe: Recipe) -> list[Result]:
    """Return the results with these options, in the order of ``METHODS``, then those of the recipe's own variants.

    Results with other options, which ``train --set`` changes, are left out until they are trained again.
    """
    names = dict.fromkeys([*METHODS, *recipe.methods])
    finished = [name for name in names if run.result(name, recipe.seed).exists()]
    found = [read_result(run, name, recipe.seed) for name in finished]
    current = [result for result in found if is_of_options(result, recipe)]
    # results of older versions lack the registered properties
    return [{**registered(result["method"], recipe), **result} for result in current]


def check_none_removed(run: RunPaths) -> None:
    """Check that each trained classifier has its result, without which a report would leave a method out.

    The result is written after the classifier, and removed after it.

    Raises:
        DataError: a folder has a classifier but no result.
    """
    for folder in sorted(run.checkpoints.glob("*-*")):
        result = folder / "result.json"
        if method_and_seed(folder.name) and (folder / CLASSIFIER).exists() and not result.exists():
            raise DataError(
                f"{result} is missing, but {CLASSIFIER} is beside it. Restore it from a copy, remove the folder "
                f"{folder}, or train again: synaug train {shell_word(run.path)}"
            )


def chosen_result(results: Sequence[Result], run: RunPaths) -> Result:
    """Return the result of the run's final classifier, which ``predictions.csv`` and ``synaug predict`` use.

    It is the chosen one; without a choice, that of ``synaug``, or the last. If the synthetic images are unusable, it is
    one trained on real images alone.
    """
    by_method = {result["method"]: result for result in results}
    chosen = by_method.get(read_choice(run).get("chosen", ""))
    if chosen is not None and not (chosen["uses_synthetic"] and unusable(run)):
        return chosen
    if unusable(run):
        alone = [each for each in results if not each["uses_synthetic"] and not each["is_bound"]]
        if alone:
            return max(alone, key=lambda each: each["accuracy"] or 0.0)
    return by_method.get("synaug", results[-1])


def results_of_all_seeds(run: Run, recipe: Recipe) -> list[Result]:
    """Return the results of the run's own seed, then those of the same methods with each other seed.

    For other seeds, results with other options or images are left out.
    """
    own = finished_results(run, recipe)
    others = [recipe.model_copy(update={"seed": seed}) for seed in run.seeds() if seed != recipe.seed]
    if not own or not others:
        return own
    synthetic = images_digest(synthetic_manifest(run.plan, run.path))
    names = [result["method"] for result in own]
    return own + [
        result
        for other in others
        for result in finished_results(run, other)
        if result["method"] in names and is_current(run, result["method"], other, synthetic)
    ]


def read_choice(run: RunPaths) -> Choice:
    """Return the choice of a run; empty if none was made.

    Raises:
        DataError: the file is damaged.
    """
    needs = ("chosen", "best", "metric", "judged_on", "num_images", "candidates", "rival")
    choice = read_form(run.choice, Choice, needs=needs, way_out=CHOOSE_AGAIN)
    judged = [row["method"] for row in choice.get("candidates", [])]
    rival = choice.get("rival")
    named = {"chosen": choice.get("chosen"), "best": choice.get("best"), "rival": rival["method"] if rival else None}
    for key, name in named.items():
        if judged and name not in judged and (key, name) != ("rival", None):
            raise DataError(f"{run.choice} is damaged: {key} is {name!r}, not a candidate. {CHOOSE_AGAIN}")
    return choice


def read_cross_validation(run: RunPaths) -> CrossValidation:
    """Return the cross-validation of a run; empty if there was none.

    Raises:
        DataError: the file is damaged.
    """
    needs = ("folds", "repeats", "num_images", "methods")
    return read_form(run.cross_validation, CrossValidation, needs=needs, way_out=JUDGE_AGAIN)
