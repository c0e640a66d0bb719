"""Train, test and store a method in a run directory; its result is current while options and images are unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from synaug.config import Recipe
from synaug.data import SINGLE_ATTRIBUTE, Manifest, groups
from synaug.data.labels import plain_cell
from synaug.errors import DataError
from synaug.methods.datasets import Sets
from synaug.methods.options import is_of_options, learns_from_validation, method_named, network_of, options_of
from synaug.methods.training import trained_model
from synaug.run_directory import CHECKPOINT_FILES, Run, RunPaths
from synaug.runtime import Progress, silent, storage
from synaug.runtime.records import check_file, of_form, read_sealed, required, write_sealed
from synaug.runtime.security import shell_word
from synaug.schemas import Registered, Result, Scores

PREDICTIONS = "predictions.csv"


def read_result(run: RunPaths, method: str, seed: int) -> Result:
    """Return the finished result of a method and seed, as it was written.

    Raises:
        DataError: the file is missing or damaged, or belongs to another method or seed.
        ChangedFileError: the classifier or the predictions beside it do not match the result.
    """
    path = run.result(method, seed)
    way_out = f"Remove the folder {path.parent} and train again: synaug retrain {shell_word(run.path)}"
    content = read_sealed(path, way_out=way_out)
    required(content, path, way_out=way_out, accuracy=(int, float), options=dict)
    files = content.pop("files", {})
    result = of_form(content, Result, where=path, way_out=way_out)
    others = {name: value for name, value in content.items() if name not in Result.__annotations__}
    of_form(others, dict[str, float | None], where=path, way_out=way_out)  # gaps between groups
    if (result["method"], result["seed"]) != (method, seed):
        raise DataError(
            f"{path} is the result of {result['method']}, seed {result['seed']}, not of {method}, seed {seed}. "
            + way_out
        )
    if not isinstance(files, dict) or not set(files) <= {"classifier.safetensors", PREDICTIONS, "training.csv"}:
        raise DataError(f"{path} is damaged: 'files' does not list its classifier, predictions and loss. {way_out}")
    for name, digest in files.items():
        check_file(path.parent / name, str(digest), way_out=way_out)
    return result


if TYPE_CHECKING:
    from torch import Tensor


def is_current(run: RunPaths, name: str, recipe: Recipe, synthetic: str) -> bool:
    """Return whether a method has a result with these options and, if it is trained on them, these synthetic images."""
    path = run.result(name, recipe.seed)
    if not path.exists():
        return False
    result = read_result(run, name, recipe.seed)
    same_images = method_named(name, recipe).data == "real" or result.get("synthetic") == synthetic
    return same_images and is_of_options(result, recipe)


def is_finished(run: RunPaths, name: str, recipe: Recipe, synthetic: str) -> bool:
    """Return whether a method has a current result; removes an outdated result together with its network."""
    if is_current(run, name, recipe, synthetic):
        return True
    if run.result(name, recipe.seed).exists():
        storage.remove_tree(run.checkpoint(name, recipe.seed), names=CHECKPOINT_FILES, last="result.json")
    return False


def train_method(
    name: str, sets: Sets, run: Run, recipe: Recipe, *, synthetic: str, progress: Progress = silent
) -> None:
    """Train one method, test it on the real test images, and write network, predictions and result.

    If several processes train together, only the first tests and writes.

    Args:
        name: a name in ``METHODS``.
        sets: the images.
        run: destination; the result is written last.
        recipe: the options.
        synthetic: digest of the synthetic images; see ``images_digest``.
        progress: called with the progress of the training.
    """
    from synaug.training import CURVES, joined_team, predict
    from synaug.training.networks import FILE, write_classifier

    team, device = joined_team(recipe.train.device)
    options = options_of(name, recipe)  # before the training, during which a user's file may change
    model, seconds = trained_model(name, sets, run, recipe, progress=progress)
    if not team.is_first:
        return
    logits = predict(model, sets.test, device=device)
    manifest = run.manifest
    test = manifest.split("test")
    measured = scores_of(logits, test, manifest, recipe)
    if sets.validation is not None and not learns_from_validation(name, recipe):
        held_out = manifest.split("validation")
        measured["validation"] = scores_of(predict(model, sets.validation, device=device), held_out, manifest, recipe)
    folder = storage.make_folder(run.checkpoint(name, recipe.seed))
    network = network_of(name, recipe)
    write_classifier(model, folder, data=sets.real, network=network, class_names=manifest.class_names)
    write_predictions(run.method_predictions(name, recipe.seed), test, logits.argmax(1).numpy())
    result = {
        "method": name,
        "seed": recipe.seed,
        **registered(name, recipe),
        **measured,
        "seconds": seconds,
        "synthetic": synthetic,
        "options": options,
        "files": {
            name: storage.file_digest(folder / name)
            for name in (FILE, PREDICTIONS, CURVES)
            if (folder / name).exists()  # methods that only retrain a last layer have no curve
        },
    }
    write_sealed(run.result(name, recipe.seed), result)


def registered(name: str, recipe: Recipe) -> Registered:
    """Return the properties of a method that readers of results need, so that nothing is derived from its name.

    ``uses_synthetic``: whether any part of it was trained on synthetic images; ``is_bound``: whether it needs images
    that users do not have, so that it is not a rival; ``problem``: its purpose, ``long_tail`` or ``groups``, None for
    both.
    """
    method = method_named(name, recipe)
    return {"uses_synthetic": method.uses_synthetic, "is_bound": method.is_bound, "problem": method.problem}


def scores_of(logits: Tensor, images: Manifest, manifest: Manifest, recipe: Recipe) -> Scores:
    """Return the scores of logits for real images that were not trained on; see ``evaluation.scores``.

    With several attributes, ``by_attribute`` has the scores between the values of each alone.
    """
    from synaug.evaluation import between_groups
    from synaug.evaluation.scores import scores

    training = manifest.split("train")
    measured = scores(
        labels=images.labels,
        probabilities=logits.double().softmax(1).numpy(),
        attributes=images.attributes,
        class_names=manifest.class_names,
        attribute_names=manifest.attribute_names,
        class_counts=groups.class_counts(training.labels, manifest.num_classes),
        train_group_counts=train_group_counts(training),
        seed=recipe.seed,
    )
    single = {}
    for name in manifest.single_attributes:
        whole = manifest.by_single_attribute(name)  # all splits, so that they have the same values
        rows = whole.rows(whole.frame["id"].isin(images.frame["id"]).to_numpy(bool))
        single[name] = between_groups(
            labels=rows.labels,
            predictions=logits.argmax(1).numpy(),
            attributes=rows.attributes,
            class_names=whole.class_names,
            attribute_names=whole.attribute_names,
            train_group_counts=train_group_counts(whole.split("train")),
            seed=recipe.seed,
        )
    return measured | ({"by_attribute": single} if single else {})


def train_group_counts(training: Manifest) -> np.ndarray:
    """Return the number of real training images per group, shape ``(C, A)``, without those of unknown attribute."""
    known = training.attributes >= 0
    counts = groups.group_counts(
        labels=training.labels[known],
        attributes=training.attributes[known],
        num_classes=training.num_classes,
        num_attributes=training.num_attributes,
    )
    return counts.reshape(training.num_classes, training.num_attributes)


def write_predictions(path: Path, test: Manifest, predictions: np.ndarray) -> None:
    """Write one row per test image: id, label, prediction and, if known, attribute; names, not numbers."""
    names = np.array([plain_cell(name) for name in test.class_names], dtype=object)
    columns = {"id": test.frame["id"].map(plain_cell), "label": names[test.labels], "prediction": names[predictions]}
    if test.attribute_names:
        columns["attribute"] = np.array([*map(plain_cell, test.attribute_names), ""], dtype=object)[test.attributes]
    for name in test.single_attributes:
        columns[name if name not in columns else f"attribute {name}"] = test.frame[SINGLE_ATTRIBUTE + name].map(
            plain_cell
        )
    storage.write_text(path, pd.DataFrame(columns).to_csv(index=False))
