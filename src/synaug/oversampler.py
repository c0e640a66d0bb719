"""An over-sampler of images with the interface of imbalanced-learn: ``fit_resample(X, y)``.

It needs scikit-learn only; it goes into a pipeline of imbalanced-learn as that library's own samplers do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets

from synaug.config import STABLE_DIFFUSION, DataOptions
from synaug.data import groups, readers
from synaug.data.export.conversion import to_arrays
from synaug.data.formats.tables import PATH_COLUMNS
from synaug.data.manifest import Manifest, read_image
from synaug.errors import DataError, OptionError, unknown
from synaug.experiment import balance

if TYPE_CHECKING:
    from synaug.synthesis.generators.diffusion import Generator

Strategy = str | float | Mapping[Any, int] | Callable[[np.ndarray], Mapping[Any, int]]


class SyntheticOverSampler(BaseEstimator):  # type: ignore[misc]
    """Even out classes with synthetic images.

    Args:
        sampling_strategy: as in imbalanced-learn: ``auto`` (or ``not majority``), ``minority``, ``not minority``,
            ``all``; for two classes a float, the wanted ratio of the smaller to the larger; a dict of class and images
            wanted in all; or a callable that is given y and returns such a dict.
        random_state: a whole number, a numpy random state or generator; None draws afresh.
        model: ``embedded``, a diffusers folder or a Hub id.
        generator: takes the place of the model; see ``synthesis.diffusion``.
        class_names: what the prompts call each class: one name for each class in sorted order, or a dict. Needed where
            y holds numbers and a model draws.
        options: further dotted options of a recipe, such as ``{"generate.steps": 20}``.
        out: run folder that keeps the images; needed where X holds paths.

    After ``fit_resample``: ``sampling_strategy_`` (class -> images to make), ``classes_``, ``sample_indices_`` (the row
    of X that each row came from; -1 where it is synthetic), ``is_synthetic_``, and ``columns_``, a frame of the further
    columns, missing where a row is synthetic.
    """

    _estimator_type = "sampler"

    def __init__(
        self,
        sampling_strategy: Strategy = "auto",
        *,
        random_state: Any = None,
        model: str = STABLE_DIFFUSION,
        generator: Generator | None = None,
        class_names: Sequence[str] | Mapping[Any, str] | None = None,
        options: Mapping[str, Any] | None = None,
        out: str | Path | None = None,
    ) -> None:
        self.sampling_strategy = sampling_strategy
        self.random_state = random_state
        self.model = model
        self.generator = generator
        self.class_names = class_names
        self.options = options
        self.out = out

    def fit(self, X: Any, y: Any) -> SyntheticOverSampler:
        """Find out how many images of each class will be made; no image is read."""
        labels = _checked_labels(y)
        if len(X) != len(labels):
            raise DataError(f"X has {len(X)} images but y has {len(labels)} labels.")
        self.classes_ = np.unique(labels)
        self.sampling_strategy_ = images_to_make(labels, self.sampling_strategy)
        return self

    def fit_resample(self, X: Any, y: Any, **columns: Any) -> tuple[Any, Any]:
        """Return X and y with the synthetic images after the real ones, each of the kind that it came as.

        Args:
            X: uint8 images of shape ``(N, H, W)`` or ``(N, H, W, C)``; a list or column of paths, Pillow images or
                arrays; or a frame with such a column, whose other columns are missing where a row is synthetic.
            y: classes, shape ``(N,)``.
            columns: further values for each image; see ``columns_``.

        Raises:
            OptionError: the strategy, the names or the folder do not go with X and y.
            DataError: an image cannot be used.
        """
        self.fit(X, y)
        labels = _checked_labels(y)
        images = _image_column(X)
        holds_paths = isinstance(images[0], str | Path)
        if holds_paths and self.out is None:
            raise OptionError("X holds paths, so the synthetic images need a folder: SyntheticOverSampler(out=...).")
        further = {name: pd.Series(list(values)) for name, values in columns.items()}
        for name, values in further.items():
            if len(values) != len(labels):
                raise DataError(f"The column {name!r} has {len(values)} values for {len(labels)} images.")
        made, classes = self._synthetic(images, labels)
        self.is_synthetic_ = np.repeat([False, True], [len(labels), len(classes)])
        self.sample_indices_ = np.where(self.is_synthetic_, -1, np.arange(len(self.is_synthetic_)))
        self.columns_ = pd.DataFrame(further).reindex(range(len(self.is_synthetic_)))
        return _extended(X, made), _extended_labels(y, labels, classes)

    def _synthetic(self, images: Sequence[Any], labels: np.ndarray) -> tuple[list[Any], np.ndarray]:
        """Return the synthetic images, each of the kind of the first real one, and their classes."""
        names = self._names()
        wanted = {names[label]: number for label, number in self.sampling_strategy_.items() if number}
        if not wanted:
            return [], labels[:0]
        data = readers.read_data((images, [names[label] for label in labels]), DataOptions(max_unreadable=0))
        counts = dict(zip(data.class_names, groups.class_counts(data.labels, data.num_classes), strict=True))
        both = balance(
            data,
            model=self.model,
            target={name: int(counts[name]) + number for name, number in wanted.items()},
            out=self.out,
            generator=self.generator,
            options=dict(self.options or {}),
            seed=_seed(self.random_state),
        )
        made = both.rows(np.arange(len(data), len(both)))
        label_named = {name: label for label, name in names.items()}
        classes = np.array([label_named[made.class_names[number]] for number in made.labels], labels.dtype)
        return _as(images[0], made), classes

    def _names(self) -> dict[Any, str]:
        """Return what the prompts call each class."""
        classes = self.classes_.tolist()
        if self.class_names is None:
            if self.generator is None and any(not isinstance(label, str) for label in classes):
                raise OptionError(
                    f"y holds numbers such as {classes[0]!r}, and the model draws what a name says. "
                    "Give class_names, one for each class in sorted order, or a dict."
                )
            return {label: str(label) for label in classes}
        given = self.class_names
        names = dict(given) if isinstance(given, Mapping) else dict(zip(classes, given, strict=False))
        missing = [label for label in classes if label not in names]
        if missing or len(set(names.values())) < len(names):
            raise OptionError(f"class_names must give each of the classes {classes} one name of its own; got {given}.")
        return {label: str(names[label]) for label in classes}


def images_to_make(labels: np.ndarray, strategy: Strategy) -> dict[Any, int]:
    """Return how many images of each class an over-sampling strategy of imbalanced-learn asks for.

    >>> images_to_make(np.array(["a", "a", "a", "b"]), "auto"), images_to_make(np.array([0, 0, 0, 0, 1]), 0.5)
    ({'b': 2}, {1: 1})
    """
    classes, numbers = np.unique(labels, return_counts=True)
    have: dict[Any, int] = dict(zip(classes.tolist(), numbers.tolist(), strict=True))
    if len(have) < 2:
        raise DataError(f"y has one class only, {classes.tolist()[:1]}; to even out, it needs at least two.")
    if callable(strategy):
        strategy = strategy(labels)
    if isinstance(strategy, Mapping):
        return _of_dict(have, strategy)
    if isinstance(strategy, Real) and not isinstance(strategy, bool):
        return _of_ratio(have, float(strategy))
    largest, smallest = max(have, key=have.__getitem__), min(have, key=have.__getitem__)
    chosen = {
        "auto": have.keys() - {largest},
        "not majority": have.keys() - {largest},
        "minority": {smallest},
        "not minority": have.keys() - {smallest},
        "all": set(have),
    }
    if not isinstance(strategy, str) or strategy not in chosen:
        raise unknown("sampling_strategy", str(strategy), chosen)
    return {label: have[largest] - number for label, number in have.items() if label in chosen[strategy]}


def _of_dict(have: dict[Any, int], wanted: Mapping[Any, int]) -> dict[Any, int]:
    for label, number in wanted.items():
        if label not in have:
            raise OptionError(f"sampling_strategy names the class {label!r}, which is not in y: {sorted(have)}.")
        if number < have[label]:
            raise OptionError(
                f"sampling_strategy wants {number} images of {label!r}, fewer than the {have[label]} in y."
            )
    return {label: int(wanted[label]) - number for label, number in have.items() if label in wanted}


def _of_ratio(have: dict[Any, int], ratio: float) -> dict[Any, int]:
    if len(have) != 2 or not 0 < ratio <= 1:
        raise OptionError(
            f"A sampling_strategy of {ratio} needs two classes and a ratio above 0 and up to 1; "
            f"y has {len(have)} classes. Give a dict of images wanted instead."
        )
    largest, smallest = sorted(have, key=have.__getitem__, reverse=True)
    number = int(have[largest] * ratio - have[smallest])
    if number <= 0:
        raise OptionError(f"The classes are closer to even than a sampling_strategy of {ratio} asks for.")
    return {smallest: number}


def _checked_labels(y: Any) -> np.ndarray:
    if y is None:
        raise DataError("fit requires y to be passed, but the target y is None. Give the class of each image.")
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels.ravel()
    if labels.ndim != 1:
        raise DataError(f"Multilabel and multioutput targets are not supported; y has the shape {labels.shape}.")
    check_classification_targets(labels)
    return labels


def _seed(random_state: Any) -> int:
    if random_state is None:
        random_state = np.random.default_rng()
    if isinstance(random_state, Integral):
        return int(random_state)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    return int(check_random_state(random_state).randint(2**31 - 1))


def _column_of(frame: pd.DataFrame) -> str:
    found = [name for name in PATH_COLUMNS if name in frame.columns]
    if not found:
        raise DataError(f"X has no column of images with one of the usual names: {', '.join(PATH_COLUMNS)}.")
    return found[0]


def _image_column(X: Any) -> Sequence[Any]:
    """Return the images of X one by one."""
    if isinstance(X, pd.DataFrame):
        return X[_column_of(X)].tolist()
    if isinstance(X, np.ndarray) and X.dtype.kind in "OUT":
        return X.reshape(len(X)).tolist()
    if isinstance(X, np.ndarray) and (X.ndim < 3 or X.dtype != np.uint8):
        raise DataError(
            f"X is {X.dtype} of shape {X.shape}; allowed are uint8 of shape (N, H, W) or (N, H, W, C), and paths."
        )
    return list(X)


def _as(kind: Any, made: Manifest) -> list[Any]:
    """Return images of the kind of ``kind``: paths, Pillow images, or arrays of the same shape."""
    if isinstance(kind, str | Path):
        return [type(kind)(made.absolute_path(row)) for row in range(len(made))]
    if isinstance(kind, Image.Image):
        return [read_image(made, row).convert(kind.mode) for row in range(len(made))]
    size = (kind.shape[1], kind.shape[0])
    return [image.reshape(kind.shape) for image in to_arrays(made, size=size).images]


def _extended(X: Any, made: list[Any]) -> Any:
    if isinstance(X, pd.DataFrame):
        more = pd.DataFrame({_column_of(X): pd.Series(made, dtype=object)})
        return pd.concat([X, more], ignore_index=True) if made else X.reset_index(drop=True)
    if isinstance(X, pd.Series):
        return pd.Series([*X, *made], name=X.name)
    if isinstance(X, np.ndarray):
        return np.concatenate([X, np.array(made, X.dtype if X.dtype.kind != "U" else None).reshape(-1, *X.shape[1:])])
    return [*X, *made]


def _extended_labels(y: Any, labels: np.ndarray, classes: np.ndarray) -> Any:
    both = np.concatenate([labels, classes])
    if isinstance(y, pd.Series):
        return pd.Series(both, name=y.name).astype(y.dtype)
    return both.tolist() if isinstance(y, list) else both
