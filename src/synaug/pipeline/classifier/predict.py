"""Use a finished classifier on new images: load it from a run or an exported folder, and classify files."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from synaug.data.formats.folders import image_files
from synaug.data.formats.tables import LABEL_COLUMNS, PATH_COLUMNS, named_column, read_table
from synaug.data.formats.tables import SUFFIXES as TABLE_SUFFIXES
from synaug.data.images import read_file
from synaug.data.labels import plain_cell
from synaug.errors import DataError, OptionError
from synaug.pipeline.run_results import chosen_result, finished_results
from synaug.run_directory import RunPaths, check_regular, locked_recipe
from synaug.runtime import PATH, SEED, TEXT, Progress, check_arguments, needs_libraries, signals, silent, storage
from synaug.runtime.files import directories
from synaug.runtime.security import shell_word
from synaug.schemas import Result

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import nn

    from synaug.training.networks import Factory, SavedClassifier

OUTPUTS = (".csv", ".tsv", ".jsonl")
_LONGEST_HEAD = 100_000  # characters


@dataclass(frozen=True)
class Predictions:
    """Predictions of a classifier for a list of images.

    ``table`` has one row per image that could be read: ``image`` (its path), ``label`` (only if the class of every
    image is known), then ``prediction`` and ``probability``, ``prediction_2`` and ``probability_2``, and so on.
    ``unreadable`` holds one sentence per image that could not be read.
    """

    table: pd.DataFrame
    unreadable: tuple[str, ...] = ()

    @property
    def class_counts(self) -> dict[str, int]:
        """Images per predicted class, most frequent first."""
        return dict(Counter(self.table["prediction"]).most_common())


@dataclass(frozen=True)
class _Named:
    """An image file, and the name of its class if known."""

    path: Path
    label: str | None = None


@needs_libraries
def load_classifier(
    path: str | Path,
    *,
    method: str | None = None,
    seed: int | None = None,
    network: str | Factory | nn.Module | None = None,
    device: str | torch.device = "auto",
) -> SavedClassifier:
    """Return the classifier of a run directory or of a folder that ``synaug export --classifier`` wrote.

    Args:
        path: run directory, exported folder, ``RUN/checkpoints/METHOD-SEED``, or the ``classifier.safetensors`` in it.
        method: method of the classifier in a run; default: the one that the report recommends.
        seed: seed, in a run with several; default: the run's own.
        network: required for a custom network: ``path/to/net.py:Net``, a class or a function. Its code is run, so it is
            never taken from the files alone.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Raises:
        OptionError: ``method`` or ``seed`` is given for a folder of one classifier, ``network`` is missing, or the
            device is not available.
        DataError: there is no finished classifier, or its file is damaged.
    """
    from synaug.training.networks import FILE
    from synaug.training.networks import load_classifier as load_folder

    if not isinstance(path, str | os.PathLike):
        raise DataError(f"A classifier is loaded from a folder or file, got {type(path).__name__}.")
    check_arguments("load_classifier", path=(path, PATH), method=(method, TEXT.or_none), seed=(seed, SEED.or_none))
    path = Path(path).expanduser()
    if path.name == FILE and path.is_file():
        path = path.parent
    run = RunPaths(path)
    if not (run.plan_file.is_file() and run.lock_file.is_file()):
        if method is not None or seed is not None:
            raise OptionError(f"{path} is not a run directory, so there is no method or seed to choose; remove it.")
        if not path.exists():
            raise DataError(f"{path} does not exist. Give a run directory or an exported classifier.")
        return load_folder(path, network=network, device=device)
    directories.own(path)
    check_regular(run)
    result = _result_of(run, method, seed)
    loaded = load_folder(run.checkpoint(result["method"], result["seed"]), network=network, device=device)
    return replace(loaded, method=result["method"], seed=result["seed"])


def _result_of(run: RunPaths, method: str | None, seed: int | None) -> Result:
    """Return the finished result of the selected classifier."""
    recipe = locked_recipe(run)
    chosen = recipe.seed if seed is None else seed
    results = finished_results(run, recipe.model_copy(update={"seed": chosen}))
    if not results:
        seeds = ", ".join(map(str, run.seeds()))
        there = f" Finished seeds: {seeds}." if seeds else f" Train one with: synaug retrain {shell_word(run.path)}"
        raise DataError(f"{run.path} has no finished classifier of seed {chosen}.{there}")
    if method is None:
        return chosen_result(results, run)
    found = next((result for result in results if result["method"] == method), None)
    if found is None:
        known = ", ".join(result["method"] for result in results)
        raise DataError(
            f"{run.path} has no finished classifier {method!r} of seed {chosen}. Finished: {known}. "
            f"Train it with: synaug train {shell_word(run.path)} --methods {shell_word(method)}"
        )
    return found


def predict_files(
    classifier: SavedClassifier,
    sources: Sequence[str | Path],
    *,
    top: int = 1,
    batch_size: int = 64,
    progress: Progress = silent,
) -> Predictions:
    """Classify image files.

    Args:
        classifier: as returned by ``load_classifier``.
        sources: image files, folders (searched recursively) and tables with a path column and, optionally, a label
            column. In folders, an image is labeled if a folder above it is named like a class.
        top: number of classes per image, most probable first; at most all of them.
        batch_size: images per batch.
        progress: called with the number of finished images.

    Raises:
        OptionError: ``top`` or ``batch_size`` is below 1.
        DataError: a source does not exist, or there are no images.
        Interrupted: a signal arrived between two batches.
    """
    if top < 1:
        raise OptionError(f"top must be at least 1, got {top}.")
    images = named_images(sources, classifier.class_names)
    reader = _Reader(images)
    parts = []
    for part in classifier.probabilities(reader.images(), batch_size=batch_size):
        parts.append(part)
        progress("predicting", len(reader.unreadable) + sum(map(len, parts)), len(images), "")
        signals.stop_here()
    probabilities = np.concatenate(parts) if parts else np.empty((0, len(classifier.class_names)))
    return Predictions(_table(reader.read, probabilities, classifier.class_names, top), tuple(reader.unreadable))


@dataclass
class _Reader:
    """Decodes files one after another; sets failing ones aside, so that one of thousands does not stop the rest."""

    files: Sequence[_Named]
    read: list[_Named] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def images(self) -> Iterator[Image.Image]:
        for file in self.files:
            try:
                image = read_file(file.path)
            except DataError as error:
                self.unreadable.append(str(error))
                continue
            self.read.append(file)
            yield image


def _table(images: Sequence[_Named], probabilities: np.ndarray, names: Sequence[str], top: int) -> pd.DataFrame:
    columns: dict[str, Any] = {"image": [str(image.path) for image in images]}
    labels = [image.label for image in images]
    if labels and None not in labels:
        columns["label"] = labels
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    for place in range(order.shape[1]):
        ending = "" if place == 0 else f"_{place + 1}"
        columns[f"prediction{ending}"] = [names[label] for label in order[:, place]]
        columns[f"probability{ending}"] = probabilities[np.arange(len(order)), order[:, place]]
    return pd.DataFrame(columns)


def named_images(sources: Sequence[str | Path], class_names: Sequence[str]) -> list[_Named]:
    """Return the image files of the sources, each once, in order.

    Raises:
        DataError: a source does not exist, or no image is found.
    """
    found: dict[Path, _Named] = {}
    for source in map(Path, sources):
        if source.is_dir():
            images = _in_folder(source, class_names)
        elif source.suffix.lower() in TABLE_SUFFIXES:
            images = _in_table(source)
        elif not source.exists():
            raise DataError(f"{source} does not exist. Give image files, folders of images, or a table of them.")
        else:
            images = [_Named(source, source.parent.name if source.parent.name in class_names else None)]
        for image in images:
            found.setdefault(image.path, image)
    if not found:
        raise DataError(f"No images are found in {', '.join(map(str, sources)) or 'an empty list'}.")
    return list(found.values())


def _in_folder(folder: Path, class_names: Sequence[str]) -> list[_Named]:
    known = set(class_names)
    images = []
    for place in image_files(folder):
        above = [folder.resolve().name, *Path(place).parent.parts]
        label = next((name for name in reversed(above) if name in known), None)
        images.append(_Named(folder / place, label))
    return images


def _in_table(path: Path) -> list[_Named]:
    if not path.exists():
        raise DataError(f"{path} does not exist.")
    frame = read_table(path).frame
    column = named_column(None, PATH_COLUMNS, list(frame.columns), "path", path)
    label = next((name for name in frame.columns if str(name).lower() in LABEL_COLUMNS), None)
    labels = [None] * len(frame) if label is None else [str(value) or None for value in frame[label]]
    places = [Path(str(place)) for place in frame[column]]
    return [_Named(path.parent / place, name) for place, name in zip(places, labels, strict=True)]


def write_predictions(predictions: Predictions, path: Path) -> None:
    """Write the table as CSV, TSV or JSON lines, depending on the suffix; ``synaug evaluate`` reads all of them.

    Raises:
        OptionError: the suffix is not one of these, or the file exists and is not earlier predictions.
        EnvironmentFault: the file cannot be written.
    """
    table = predictions.table
    suffix = path.suffix.lower()
    check_output(path)
    if suffix == ".jsonl":
        content = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in table.to_dict("records"))
    else:
        texts = table.select_dtypes(exclude="number").columns
        cells = table.assign(**{name: table[name].map(plain_cell) for name in texts})
        content = cells.to_csv(index=False, sep="\t" if suffix == ".tsv" else ",")
    storage.write_text(path, content)


def check_output(path: Path, sources: Sequence[str | Path] = ()) -> None:
    """Check that predictions may be written to a file; only earlier predictions are replaced.

    Args:
        path: the file.
        sources: the images to predict, none of which may be replaced.

    Raises:
        OptionError: the suffix is not allowed, or something else is in its place.
    """
    if path.suffix.lower() not in OUTPUTS:
        raise OptionError(f"--out is {os.fspath(path)!r}; allowed suffixes: {', '.join(OUTPUTS)}.")
    if path.is_dir():
        raise OptionError(f"--out {path} is a folder. Give a file, such as {path / 'predictions.csv'}.")
    if not os.path.lexists(path):
        return
    if any(os.path.exists(source) and os.path.exists(path) and os.path.samefile(source, path) for source in sources):
        raise OptionError(f"--out {path} is one of the files to predict. Choose another file.")
    if path.is_symlink() or not path.is_file() or not _are_predictions(path):
        raise OptionError(
            f"--out {path} exists and does not contain predictions of synaug. Nothing was changed. Choose another "
            "file, or move it away."
        )


def _are_predictions(path: Path) -> bool:
    """Return whether a file has the columns that ``write_predictions`` writes."""
    with contextlib.suppress(OSError, ValueError, RecursionError), open(path, encoding="utf-8", newline="") as file:
        line = file.readline(_LONGEST_HEAD).rstrip("\r\n")
        if path.suffix.lower() == ".jsonl":
            columns = list(json.loads(line))
        else:
            columns = line.split("\t" if path.suffix.lower() == ".tsv" else ",")
        own = columns[:1] + [name for name in columns[1:] if name != "label"]
        return own[:3] == ["image", "prediction", "probability"]
    return False
