"""Over-sample images through the interface of imbalanced-learn: ``fit_resample(X, y)``.

Requires only scikit-learn; works in imbalanced-learn pipelines like that library's own samplers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from synaug.config import STABLE_DIFFUSION, DataOptions
from synaug.data import Manifest, groups, readers
from synaug.data.formats.memory import as_given, extended, extended_labels, image_column, in_one_mode, num_images
from synaug.data.formats.memory.image_kinds import image_kinds
from synaug.data.labels import flat_labels, label_texts
from synaug.errors import DataError, OptionError, unknown
from synaug.experiment import balance
from synaug.runtime import SEED

if TYPE_CHECKING:
    from synaug.synthesis.generators import Generator

Strategy = str | float | Mapping[Any, int] | Callable[[np.ndarray], Mapping[Any, int]]


class SyntheticOverSampler(BaseEstimator):  # type: ignore[misc]
    """Balance classes with synthetic images.

    Args:
        sampling_strategy: as in imbalanced-learn: ``auto`` (or ``not majority``), ``minority``, ``not minority``,
            ``all``; for two classes a float, the target ratio of the smaller to the larger; a dict from class to total
            number of images; or a callable that takes y and returns such a dict.
        random_state: a whole number, a numpy random state or generator; None uses fresh randomness.
        model: ``embedded``, a diffusers folder or a Hub id.
        generator: replaces the model; see ``synthesis.generators.diffusion``.
        class_names: name of each class in prompts: a dict from class to name, or a list whose k-th name belongs to
            class k, whether or not all classes occur in y. Required if y holds numbers and a model generates.
        options: additional dotted options of a recipe, such as ``{"generate.steps": 20}``.
        out: run directory that keeps the images; required if X holds paths.

    After ``fit_resample``: ``sampling_strategy_`` (class -> number of images to generate), ``classes_``,
    ``sample_indices_`` (the row of X that each row came from; -1 for synthetic rows), ``is_synthetic_``, and
    ``columns_``, a frame of the additional columns, missing in synthetic rows.
    """

    _estimator_type = "sampler"

    def __init__(
        self,
        sampling_strategy: Strategy = "auto",
        *,
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
        model: str = STABLE_DIFFUSION,
        generator: Generator | None = None,
        class_names: Sequence[str] | Mapping[Any, str] | None = None,
        options: Mapping[str, object] | None = None,
        out: str | Path | None = None,
    ) -> None:
        self.sampling_strategy = sampling_strategy
        self.random_state = random_state
        self.model = model
        self.generator = generator
        self.class_names = class_names
        self.options = options
        self.out = out

    def fit(self, X: object, y: object) -> SyntheticOverSampler:
        """Compute how many images of each class to generate; reads no image.

        Raises:
            DataError: y holds no classes, or X and y differ in length.
            OptionError: the strategy does not fit y.
        """
        labels = _checked_labels(y)
        if num_images(X) != len(labels):
            raise DataError(f"X has {num_images(X)} images but y has {len(labels)} labels.")
        self.classes_ = np.unique(labels)
        self.sampling_strategy_ = images_to_make(labels, self.sampling_strategy)
        return self

    def fit_resample(self, X: object, y: object, **columns: Iterable[Any]) -> tuple[Any, Any]:
        """Return X and y with the synthetic images after the real ones, in the types they came in.

        Args:
            X: images as an array or tensor of shape ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)`` with 1, 3 or 4
                channels; a list, column or object array of paths, Pillow images, arrays or tensors; or a frame with
                such a column, whose other columns are missing in synthetic rows. Values range from 0 to 255, from 0 to
                1 (floats) or to 65,535. Synthetic images have the type, scale, layout and mode of the real ones; if
                some are gray and others color, all come back in color.
            y: classes, shape ``(N,)``, ``(N, 1)`` or one-hot ``(N, C)``.
            columns: additional values per image; see ``columns_``.

        Raises:
            OptionError: the strategy, the names or the folder do not fit X and y.
            DataError: an image cannot be used.
        """
        self.fit(X, y)
        labels = _checked_labels(y)
        images = image_column(X)
        kinds = image_kinds(images)
        known = [kind for kind in kinds if kind is not None]
        if len(known) < len(images) and self.out is None:
            raise OptionError(
                "X holds paths, so the synthetic images need an output folder: SyntheticOverSampler(out=...)."
            )
        further = {name: pd.Series(list(values)) for name, values in columns.items()}
        for name, values in further.items():
            if len(values) != len(labels):
                raise DataError(f"The column {name!r} has {len(values)} values for {len(labels)} images.")
        data, classes = self._synthetic(images, labels)
        added = [] if data is None else as_given(data, images, known)
        self.is_synthetic_ = np.repeat([False, True], [len(labels), len(classes)])
        self.sample_indices_ = np.where(self.is_synthetic_, -1, np.arange(len(self.is_synthetic_)))
        self.columns_ = pd.DataFrame(further).reindex(range(len(self.is_synthetic_)))
        return extended(in_one_mode(X, kinds), added), extended_labels(y, labels, classes)

    def _synthetic(self, images: Sequence[object], labels: np.ndarray) -> tuple[Manifest | None, np.ndarray]:
        """Return the synthetic images (None if none are needed) and their classes."""
        names = self._names()
        wanted = {names[label]: number for label, number in self.sampling_strategy_.items() if number}
        if not wanted:
            return None, labels[:0]
        data = readers.read_data((images, [names[label] for label in labels.tolist()]), DataOptions(max_unreadable=0))
        counts = dict(zip(data.class_names, groups.class_counts(data.labels, data.num_classes), strict=True))
        both = balance(
            data,
            model=self.model,
            target={name: int(counts[name]) + number for name, number in wanted.items()},
            out=self.out,
            generator=self.generator,
            options=None if self.options is None else cast(dict[str, object], self.options),
            seed=_seed(self.random_state),
        )
        synthetic = both.rows(np.arange(len(data), len(both)))
        label_named = {name: label for label, name in names.items()}
        return synthetic, np.array(
            [label_named[synthetic.class_names[number]] for number in synthetic.labels], labels.dtype
        )

    def _names(self) -> dict[Any, str]:
        """Return the name of each class in prompts."""
        classes = self.classes_.tolist()
        if self.class_names is None:
            if self.generator is None and any(not isinstance(label, str) for label in classes):
                raise OptionError(
                    f"y holds numbers such as {classes[0]!r}, but the prompts need a name for each class. "
                    "Give class_names: a dict, or a list whose k-th name belongs to class k."
                )
            return dict(zip(classes, label_texts(classes, where="y"), strict=True))
        given = self.class_names
        if not isinstance(given, Mapping):
            given = dict(enumerate(_listed(given)))
            if any(isinstance(label, str) for label in classes):
                raise OptionError(
                    f"class_names is a list, so class_names[k] belongs to class k, but the classes are {classes}. "
                    f"Give a dict, such as {{{classes[0]!r}: 'a name'}}."
                )
        by_text = {_key(label): str(name).strip() for label, name in given.items()}
        names = {label: by_text.get(_key(label), "") for label in classes}
        if not all(names.values()) or len(set(names.values())) < len(names):
            raise OptionError(
                f"class_names must give each of the classes {classes} one name of its own; got {self.class_names}. "
                "In a list, class_names[k] belongs to class k; in a dict, each key is a class."
            )
        return names


def _listed(names: object) -> list[Any]:
    if isinstance(names, str) or not isinstance(names, Iterable) or getattr(names, "ndim", 1) == 0:
        raise OptionError(f"class_names must be a list or a dict of names, got {names!r}.")
    return list(names)


def _key(label: object) -> str:
    """Return a class as text, so that 1, 1.0, True and "1" name the same class."""
    if isinstance(label, Integral):
        return str(int(label))
    if isinstance(label, Real) and float(label).is_integer():
        return str(int(float(label)))
    return str(label).strip()


def images_to_make(labels: np.ndarray, strategy: Strategy) -> dict[Any, int]:
    """Return how many images of each class an over-sampling strategy of imbalanced-learn requires.

    >>> images_to_make(np.array(["a", "a", "a", "b"]), "auto"), images_to_make(np.array([0, 0, 0, 0, 1]), 0.5)
    ({'b': 2}, {1: 1})
    """
    classes, numbers = np.unique(labels, return_counts=True)
    have: dict[Any, int] = dict(zip(classes.tolist(), numbers.tolist(), strict=True))
    if len(have) < 2:
        raise DataError(f"y has only one class, {classes.tolist()[:1]}; at least two are needed.")
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
        if isinstance(number, bool) or not isinstance(number, Integral):
            raise OptionError(f"sampling_strategy wants {number!r:.80} images of {label!r}; give a whole number.")
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
        raise OptionError(f"The classes are already more balanced than a sampling_strategy of {ratio} requires.")
    return {smallest: number}


def _checked_labels(y: object) -> np.ndarray:
    """Return y as an array of classes, shape ``(N,)``, in their own type."""
    if y is None:
        raise DataError("fit requires y to be passed, but the target y is None. Give the class of each image.")
    if isinstance(y, Iterator):
        raise DataError(f"y is a {type(y).__name__}, which can be read only once. Pass a list.")
    texts = label_texts(y, where="y").to_numpy(object)  # raises for missing, continuous and multi-label values
    labels = y.ravel() if isinstance(y, np.ndarray) and y.size == len(y) else flat_labels(y, where="y").to_numpy()
    if labels.dtype.kind not in "OU":
        return labels
    first = dict(zip(texts[::-1], labels[::-1], strict=True))  # " cat" and "cat" are one class
    kinds = sorted({type(value).__name__ for value in first.values()})
    if len(kinds) > 1:
        raise DataError(f"y mixes values of the types {', '.join(kinds)}. Give classes of one type.")
    return np.array([first[text] for text in texts], labels.dtype)


def _seed(random_state: int | np.random.Generator | np.random.RandomState | None) -> int:
    if random_state is None:
        random_state = np.random.default_rng()
    if isinstance(random_state, Integral) and SEED.accepts(random_state):
        return int(random_state)
    if not isinstance(random_state, np.random.Generator | np.random.RandomState):
        raise OptionError(
            "random_state must be a whole number from 0 to 4,294,967,295, a numpy generator or random state, or None, "
            f"got {random_state!r:.80}."
        )
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    return int(check_random_state(random_state).randint(2**31 - 1))
