"""Test the over-sampler against imbalanced-learn's samplers, by that library's own checks if they apply."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from imblearn.pipeline import make_pipeline
from imblearn.utils import check_sampling_strategy
from imblearn.utils import estimator_checks as sampler_checks
from PIL import Image
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

from synaug.data.images.codec import read_file
from synaug.errors import DataError, OptionError
from synaug.oversampler import SyntheticOverSampler, images_to_make

NO_GATES = {"quality.gates": []}
IMAGES = np.random.default_rng(0).integers(0, 256, (7, 6, 5, 3), dtype=np.uint8)
LABELS = np.array(["cat"] * 4 + ["dog"] * 2 + ["eel"])


def noise(prompts, *, seeds):
    """Make an image that depends only on its seed."""
    for _, seed in zip(prompts, seeds, strict=True):
        yield Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 5, 3), dtype=np.uint8))


def sampler(strategy="auto", **options):
    return SyntheticOverSampler(strategy, generator=noise, options=NO_GATES, random_state=0, **options)


def test_arrays_come_back_followed_by_the_synthetic_ones():
    made = sampler()
    images, labels = made.fit_resample(IMAGES, LABELS)
    assert (images[:7] == IMAGES).all()
    assert images.shape == (12, 6, 5, 3)
    assert images.dtype == np.uint8
    assert Counter(labels.tolist()) == {"cat": 4, "dog": 4, "eel": 4}
    assert labels.dtype == LABELS.dtype
    assert made.sampling_strategy_ == {"dog": 2, "eel": 3}
    assert made.sample_indices_.tolist() == [*range(7), -1, -1, -1, -1, -1]
    assert (made.is_synthetic_ == (made.sample_indices_ < 0)).all()


@pytest.mark.parametrize("shape", [(7, 6, 5), (7, 6, 5, 1)])
def test_gray_images_keep_their_shape(shape):
    images, _ = sampler().fit_resample(IMAGES[..., 0].reshape(shape), LABELS)
    assert images.shape == (12, *shape[1:])


def test_pillow_images_and_lists_keep_their_types():
    images, labels = sampler().fit_resample([Image.fromarray(image) for image in IMAGES], LABELS.tolist())
    assert [image.size for image in images] == [(5, 6)] * 12
    assert isinstance(labels, list)


@pytest.mark.parametrize("kind", ["list", "array", "column", "frame"])
def test_paths_come_back_as_paths_to_files(kind, tmp_path):
    paths = [str(tmp_path / f"{n}.png") for n in range(7)]
    for path, image in zip(paths, IMAGES, strict=True):
        Image.fromarray(image).save(path)
    given_x = {
        "list": paths,
        "array": np.array(paths),
        "column": np.array(paths, dtype=object).reshape(-1, 1),
        "frame": pd.DataFrame({"path": paths, "age": range(7)}),
    }[kind]
    found, _ = sampler(out=tmp_path / "run").fit_resample(given_x, LABELS)
    assert type(found) is type(given_x)
    if kind == "frame":
        assert found["age"].tolist()[:7] == list(range(7))
        assert found["age"][7:].isna().all()
        found = found["path"]
    flat = np.asarray(found, dtype=object).ravel().tolist()
    assert flat[:7] == paths
    assert all(read_file(Path(path)).size == (5, 6) for path in flat)
    assert len(set(flat)) == 12


def test_further_columns_are_carried_along():
    made = sampler()
    made.fit_resample(IMAGES, LABELS, age=np.arange(7), place=list("abcdefg"))
    assert made.columns_["age"].tolist()[:7] == list(range(7))
    assert made.columns_[7:].isna().all(axis=None)


def test_a_column_of_another_length_is_refused_before_an_image_is_made():
    made = sampler().set_params(generator=lambda prompts, *, seeds: pytest.fail("an image was made"))
    with pytest.raises(DataError, match=r"column 'age'.*2.*7 images"):
        made.fit_resample(IMAGES, LABELS, age=[1, 2])


def test_the_random_state_decides_every_pixel():
    first, again, other = (
        SyntheticOverSampler(generator=noise, options=NO_GATES, random_state=state).fit_resample(IMAGES, LABELS)[0]
        for state in (1, 1, np.random.RandomState(2))
    )
    assert (first == again).all()
    assert (first != other).any()
    fresh = [clone(sampler()).set_params(random_state=None).fit_resample(IMAGES, LABELS)[0] for _ in range(2)]
    assert (fresh[0] != fresh[1]).any()


COUNTS = st.lists(st.integers(1, 30), min_size=2, max_size=5).filter(lambda c: max(c) > min(c))


@given(COUNTS, st.sampled_from(["auto", "minority", "not minority", "not majority", "all"]))
def test_the_strategies_request_the_counts_of_imbalanced_learn(counts, strategy):
    labels = np.repeat(np.arange(len(counts)), counts)
    assert images_to_make(labels, strategy) == dict(check_sampling_strategy(strategy, labels, "over-sampling"))


@pytest.mark.parametrize("strategy", [0.5, 1.0, {0: 9, 1: 5}, {1: 4}, lambda y: {1: int((y == 0).sum()) - 1}])
def test_ratios_dicts_and_callables_too(strategy):
    labels = np.repeat([0, 1], [8, 3])
    assert images_to_make(labels, strategy) == dict(check_sampling_strategy(strategy, labels, "over-sampling"))


def test_a_dict_of_counts_is_met_exactly():
    _, labels = sampler({"eel": 3, "cat": 6}).fit_resample(IMAGES, LABELS)
    assert Counter(labels.tolist()) == {"cat": 6, "dog": 2, "eel": 3}


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("majority", "Unknown sampling_strategy 'majority'. Did you mean 'not majority'"),
        (0.5, "needs two classes"),
        ({"fox": 3}, "names the class 'fox', which is not in y"),
        ({"cat": 3}, "wants 3 images of 'cat', fewer than the 4 in y"),
    ],
)
def test_a_strategy_that_cannot_be_is_named(strategy, words):
    with pytest.raises(OptionError, match=words):
        sampler(strategy).fit_resample(IMAGES, LABELS)


def test_a_ratio_that_is_reached_already_is_named():
    with pytest.raises(OptionError, match=r"more balanced than a sampling_strategy of 0\.2"):
        images_to_make(np.repeat([0, 1], [8, 3]), 0.2)


def test_numbers_need_names_if_a_model_generates():
    with pytest.raises(OptionError, match=r"y holds numbers such as 0.*Give class_names"):
        SyntheticOverSampler(model="embedded").fit_resample(IMAGES, [0] * 4 + [1] * 3)
    with pytest.raises(OptionError, match=r"class_names.*classes \[0, 1\]"):
        sampler(class_names=["cat"]).fit_resample(IMAGES, [0] * 4 + [1] * 3)


def test_names_are_those_in_the_prompts():
    asked = []

    def draw(prompts, *, seeds):
        asked.extend(prompts)
        return noise(prompts, seeds=seeds)

    made = SyntheticOverSampler(generator=draw, class_names={0: "cat", 1: "dog"}, options=NO_GATES, random_state=0)
    _, labels = made.fit_resample(IMAGES, np.array([0] * 4 + [1] * 3))
    assert labels.tolist()[7:] == [1]
    assert [prompt.endswith("dog") for prompt in asked] == [True]


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (IMAGES[0, ..., 0].repeat(2, 0)[:7], r"X is uint8 of shape \(7, 5\); allowed: images of shape \(N, H, W\)"),
        (IMAGES - 300.0, r"The set of float64 images has pixels from -300"),
        ([[1.0]] * 7, "Image 0 has the shape"),
        (3, "X is int, not a collection"),
        (pd.DataFrame({"picture": range(7)}), "X has no column of images"),
        (["a.png"] * 7, r"X holds paths, so the synthetic images need an output folder"),
        (IMAGES[:3], "X has 3 images but y has 7 labels"),
    ],
)
def test_unusable_images_are_named(images, words):
    with pytest.raises((DataError, OptionError), match=words):
        sampler().fit_resample(images, LABELS)


def test_it_works_in_a_pipeline_of_imbalanced_learn():
    digits = load_digits()
    images = np.round(digits.images * 255 / 16).astype(np.uint8)
    rows = np.concatenate([np.flatnonzero(digits.target == digit)[: 40 if digit < 5 else 8] for digit in range(10)])
    flat = FunctionTransformer(lambda images: images.reshape(len(images), -1) / 255)
    pipeline = make_pipeline(sampler(), flat, LogisticRegression(max_iter=200))
    pipeline.fit(images[rows], digits.target[rows])
    assert pipeline.score(images[rows], digits.target[rows]) > 0.9


COLOR, GRAY = IMAGES, IMAGES[..., 0]


def kinds():
    """Return collections of the same images in many types, scales and layouts."""
    first = COLOR.transpose(0, 3, 1, 2)
    for name, images in {
        "uint8": COLOR,
        "channels first": first,
        "one channel first": GRAY[:, None],
        "gray": GRAY,
        "opacity": np.concatenate([COLOR, np.full_like(COLOR[..., :1], 255)], 3),
        "floats": COLOR / 255,
        "floats to 255": COLOR.astype(np.float32),
        "uint16": COLOR.astype(np.uint16) * 257,
        "int64": COLOR.astype(np.int64),
        "truth values": GRAY > 127,
    }.items():
        yield name, images
        yield f"list of {name}", list(images)
        yield f"object array of {name}", np.array([*map(Image.fromarray, COLOR), None], object)[:7]
        yield f"frame of {name}", pd.DataFrame({"image": list(images), "age": range(7)})
        if images.dtype != np.uint16:
            yield f"tensor of {name}", torch.from_numpy(images)
    for mode in ("1", "L", "P", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "LA"):
        plain = [Image.fromarray(image) for image in (GRAY if mode in ("I", "F") else COLOR)]
        yield f"Pillow {mode}", [image.convert(mode) for image in plain]
    yield "Pillow I;16", [Image.fromarray(image.astype(np.uint16) * 257) for image in GRAY]
    yield "Pillow F, 0 to 1", [Image.fromarray((image / 255).astype(np.float32)) for image in GRAY]


@pytest.mark.parametrize(("name", "images"), [pytest.param(*each, id=each[0]) for each in kinds()])
def test_synthetic_images_have_the_type_scale_and_shape_of_the_input(name, images):
    found, _ = sampler().fit_resample(images, LABELS)
    assert type(found) is type(images)
    if isinstance(images, pd.DataFrame):
        found, images = found["image"].tolist(), images["image"].tolist()
    assert len(found) == 12
    assert getattr(found, "dtype", None) == getattr(images, "dtype", None)
    real, synthetic = found[0], found[-1]
    assert type(synthetic) is type(real)
    if isinstance(real, Image.Image):
        assert synthetic.mode == real.mode
    real, synthetic = np.asarray(real), np.asarray(synthetic)
    assert (real == np.asarray(images[0])).all()  # real images stay unchanged
    assert (synthetic.shape, synthetic.dtype) == (real.shape, real.dtype)
    assert 0.5 < synthetic.max() / real.max() <= 2


@pytest.mark.parametrize("kind", ["list", "frame", "object array", "tensors", "Pillow"])
def test_gray_images_among_color_ones_come_back_in_color(kind):
    mixed = [GRAY[0], *COLOR[1:]]
    given_x = {
        "list": mixed,
        "frame": pd.DataFrame({"image": mixed}),
        "object array": np.array([*mixed, None], object)[:7],
        "tensors": [torch.from_numpy(np.atleast_3d(image)).permute(2, 0, 1) for image in mixed],
        "Pillow": [Image.fromarray(image) for image in mixed],
    }[kind]
    found, _ = sampler().fit_resample(given_x, LABELS)
    found = found["image"].tolist() if kind == "frame" else found
    stacked = np.stack([np.asarray(image) for image in found])
    assert stacked.shape == ((12, 3, 6, 5) if kind == "tensors" else (12, 6, 5, 3))
    assert (stacked[0].reshape(-1) == np.asarray(given_x["image"][0] if kind == "frame" else given_x[0]).max()).any()


@pytest.mark.parametrize(
    "y",
    [
        np.array([0] * 4 + [1] * 3)[:, None],
        np.eye(2, dtype=np.float32)[[0] * 4 + [1] * 3],
        torch.tensor([0] * 4 + [1] * 3),
        pd.DataFrame({"y": [0] * 4 + [1] * 3}),
        pd.Series([0] * 4 + [1] * 3, dtype="category"),
        [False] * 4 + [True] * 3,
        np.array([0.0] * 4 + [1.0] * 3),
        ["cat "] + ["cat"] * 3 + ["dog"] * 3,
    ],
    ids=["column", "one-hot", "tensor", "frame", "categories", "truth values", "floats", "blanks"],
)
def test_labels_come_back_as_they_came(y):
    _, labels = sampler().fit_resample(IMAGES, y)
    assert type(labels) is type(y)
    assert len(labels) == 8
    assert np.array_equal(np.ravel(y[-1:]), np.ravel(labels[-1:]))


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.eye(3)[[0] * 4 + [1] * 3] + 1, "one-hot"),
        (np.linspace(0, 1, 7), "fractions"),
        ([1, "a"] * 3 + [1], "mixes values of the types"),
        (["a"] * 6 + [None], "no value in 1 of 7 rows"),
        ([["a", "b"]] * 7, "several values"),
        (None, "the target y is None"),
        (5, "not one label per image"),
    ],
)
def test_labels_that_are_not_classes_are_refused(y, words):
    with pytest.raises(DataError, match=words):
        sampler().fit_resample(IMAGES, y)


def test_names_belong_to_labels_and_not_to_positions():
    asked = []

    def draw(prompts, *, seeds):
        asked.extend(prompts)
        return noise(prompts, seeds=seeds)

    labels = np.array([0] * 4 + [3] * 3)  # a subset without the classes 1 and 2
    for names in (
        ["cat", "dog", "eel", "fox"],
        {0: "cat", 3: "fox"},
        {"0": "cat", "3": "fox"},
        {0.0: "cat", 3.0: "fox"},
    ):
        made = SyntheticOverSampler(generator=draw, class_names=names, options=NO_GATES, random_state=0)
        assert made.fit_resample(IMAGES, labels)[1].tolist()[7:] == [3]
    assert {prompt.split()[-1] for prompt in asked} == {"fox"}
    for names in (["cat", "dog"], {0: "cat"}, {0: "cat", 3: "cat"}, {0: "cat", 3: " "}, "cf", 5):
        with pytest.raises(OptionError, match="class_names"):
            sampler(class_names=names).fit_resample(IMAGES, labels)
    with pytest.raises(OptionError, match="Give a dict"):
        sampler(class_names=["Katze", "Hund", "Aal"]).fit_resample(IMAGES, LABELS)


# ---------------------------------------------------------------- the libraries' own checks

LOOKS_AT_NO_IMAGES = (  # scikit-learn's checks of cloning, parameters and tags; the values of X do not matter
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_get_params_invariance",
    "check_set_params",
    "check_parameters_default_constructible",
    # Those that call fit, which counts labels.
    "check_fit_score_takes_y",
    "check_requires_y_none",
    "check_f_contiguous_array_estimator",
    "check_dont_overwrite_parameters",
    "check_estimators_fit_returns_self",
    "check_estimators_overwrite_params",
    "check_readonly_memmap_input",
    "check_dict_unchanged",
    "check_estimators_pickle",
)


@pytest.mark.parametrize("name", LOOKS_AT_NO_IMAGES)
def test_a_check_of_scikit_learn(name):
    estimator = SyntheticOverSampler() if name == "check_parameters_default_constructible" else sampler()
    getattr(estimator_checks, name)("SyntheticOverSampler", estimator)


class OnFeatures(SyntheticOverSampler):
    """Adapts checks for feature tables: a row of X becomes a gray image one pixel high."""

    def fit_resample(self, X, y, **columns):
        table = np.asarray(X)
        gray = np.clip(table * 20 + 128, 0, 255).astype(np.uint8)[:, None, :]
        images, labels = super().fit_resample(gray, y, **columns)
        made = images[len(table) :, 0].astype(table.dtype)
        both = np.concatenate([table, made])
        return both.tolist() if isinstance(X, list) else both, labels


OF_SAMPLERS = (  # their checks of y, of the strategy and of types apply to images too
    "check_target_type",
    "check_samplers_one_label",
    "check_samplers_fit",
    "check_samplers_fit_resample",
    "check_samplers_sampling_strategy_fit_resample",
    "check_samplers_2d_target",
    pytest.param("check_samplers_list", marks=pytest.mark.long),  # seconds each, for 660 images
    pytest.param("check_samplers_preserve_dtype", marks=pytest.mark.long),
)


@pytest.mark.parametrize("name", OF_SAMPLERS)
def test_a_check_of_imbalanced_learn(name):
    options = NO_GATES | {"generate.batch_size": 512}
    getattr(sampler_checks, name)("OnFeatures", OnFeatures(generator=noise, options=options, random_state=0))


def test_labels_that_can_be_read_only_once_are_refused():
    with pytest.raises(DataError, match="y is a generator, which can be read only once"):
        SyntheticOverSampler().fit([np.zeros((8, 8), np.uint8)] * 3, (label for label in (0, 0, 1)))
