"""Score the probability of each class for an image, by a classifier fitted on real images or by CLIP."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from synaug.config import SIGLIP, QualityOptions
from synaug.data import cell_weights
from synaug.data.images.thumbnails import thumbnails
from synaug.errors import EnvironmentFault, OptionError
from synaug.runtime import threads_for
from synaug.runtime.quiet import quiet
from synaug.synthesis.generators.models import CLIP, ModelFolder, find_model

if TYPE_CHECKING:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import Pipeline
    from transformers import PreTrainedModel, ProcessorMixin
    from transformers.models.clip.modeling_clip import CLIPOutput

FOLDS = 5
MAX_FITTED = 20_000
_SMALLEST = 1e-12
_ROUNDING = 1e-6  # share of the variance; float32 sums are exact to about 1e-7

Scorer = Callable[[Sequence[Image.Image]], np.ndarray]
"""Returns probabilities of shape ``(N, C)`` for N images."""

Embed = Callable[[Sequence[Image.Image]], np.ndarray]
"""Returns features of shape ``(N, D)`` for N images."""


@dataclass(frozen=True)
class FittedScorer:
    """A scorer, and its out-of-fold probabilities for the real images, shape ``(N, C)``."""

    scorer: Scorer
    out_of_fold: np.ndarray


@dataclass(frozen=True)
class FittedFeatures:
    """The same for features: a function from features ``(N, D)`` to probabilities ``(N, C)``."""

    of_features: Callable[[np.ndarray], np.ndarray]
    out_of_fold: np.ndarray


def fit_pixel_scorer(
    pixels: np.ndarray,
    labels: np.ndarray,
    *,
    num_classes: int,
    cells: np.ndarray | None = None,
    mode: str = "L",
    seed: int = 0,
) -> FittedScorer:
    """Fit a scorer on ``thumbnails`` of the real images, uint8 of shape ``(N, D)``; see ``fit_scorer``."""
    embed = partial(thumbnails, mode=mode)
    return fit_scorer(pixels, labels, embed=embed, num_classes=num_classes, cells=cells, seed=seed)


def fit_scorer(
    features: np.ndarray,
    labels: np.ndarray,
    *,
    embed: Embed,
    num_classes: int,
    cells: np.ndarray | None = None,
    seed: int = 0,
) -> FittedScorer:
    """Fit a scorer of images on features of the real ones; ``embed`` computes such features from images."""
    fitted = fit_features(features, labels, num_classes=num_classes, cells=cells, seed=seed)
    return FittedScorer(lambda images: fitted.of_features(embed(images)), fitted.out_of_fold)


def fit_features(
    features: np.ndarray, labels: np.ndarray, *, num_classes: int, cells: np.ndarray | None = None, seed: int = 0
) -> FittedFeatures:
    """Fit a class-balanced, and if cells are known cell-balanced, logistic regression on principal components.

    With images of fewer than two classes there is nothing to learn, and every class is equally probable.

    Args:
        features: features of the real images, shape ``(N, D)``.
        labels: shape ``(N,)``.
        num_classes: C, including classes without images.
        cells: class and attribute of each image as one number, shape ``(N,)``; see ``cell_weights``.
        seed: seed of the folds.
    """
    strata = labels if cells is None else cells
    rng = np.random.default_rng(seed)
    out_of_fold = np.full((len(labels), num_classes), _SMALLEST)
    if len(np.unique(labels)) < 2:
        return FittedFeatures(lambda found: np.full((len(found), num_classes), 1 / num_classes), out_of_fold)
    for seen, unseen in _folds(strata, seed):
        if len(np.unique(labels[seen])) > 1:
            model = _fit(features, labels, cells, _at_most(seen, strata, rng))
            out_of_fold[unseen] = _probabilities(model, features[unseen], num_classes)
    model = _fit(features, labels, cells, _at_most(np.arange(len(labels)), strata, rng))
    return FittedFeatures(lambda found: _probabilities(model, found, num_classes), out_of_fold)


def _folds(cells: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the rows to fit on and to judge, per fold; each cell is spread as evenly as possible."""
    from sklearn.model_selection import StratifiedKFold

    largest = int(np.bincount(cells).max(initial=0))
    if largest < 2:  # no cell has both an image to fit on and another to judge
        return []
    folds = StratifiedKFold(min(FOLDS, largest), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return list(folds.split(cells[:, None], cells))


def _at_most(rows: np.ndarray, cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return up to ``MAX_FITTED`` of the rows, dropping those of large cells first."""
    if len(rows) <= MAX_FITTED:
        return rows
    mixed = rng.permutation(rows)
    rank = np.zeros(len(mixed), np.int64)
    for cell in np.unique(cells[rows]):
        mine = cells[mixed] == cell
        rank[mine] = np.arange(mine.sum())
    return mixed[np.argsort(rank, kind="stable")[:MAX_FITTED]]


def _fit(features: np.ndarray, labels: np.ndarray, cells: np.ndarray | None, rows: np.ndarray) -> Pipeline:
    """Fit on rows drawn once by the caller, so that features and labels cannot come from two different draws."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    seen = features[rows].astype(np.float32)
    weights = None if cells is None else cell_weights(labels[rows], cells[rows])
    # PCA divides by the total variance, which is 0 if all images are equal
    with threads_for(seen.size * len(np.unique(labels[rows]))), np.errstate(invalid="ignore"):
        return make_pipeline(
            _principal_components(seen),
            StandardScaler(),
            LogisticRegression(C=0.1, class_weight="balanced" if weights is None else None, max_iter=2000),
        ).fit(seen, labels[rows], logisticregression__sample_weight=weights)


def _principal_components(features: np.ndarray) -> PCA:
    """Return a PCA with up to 64 components, none of them rounding error.

    Components beyond the rank of the features contain only the last bits of sums, which depend on the number of
    threads; scaled to unit variance they would weigh as much as the first component.
    """
    from sklearn.decomposition import PCA

    most = min(64, len(features) - 1, features.shape[1])
    found = PCA(most, svd_solver="covariance_eigh").fit(features)
    real = int((np.nan_to_num(found.explained_variance_ratio_) > _ROUNDING).sum())
    return PCA(max(1, min(most, real)), svd_solver="covariance_eigh")


def _probabilities(model: Pipeline, features: np.ndarray, num_classes: int) -> np.ndarray:
    probabilities = np.full((len(features), num_classes), _SMALLEST)
    if len(features):
        probabilities[:, model.classes_] = model.predict_proba(features.astype(np.float32))
    return np.maximum(probabilities, _SMALLEST)


def needs_clip(quality: QualityOptions) -> bool:
    """Return whether a gate will use CLIP."""
    return quality.scorer == "clip" and "off_class" in quality.gates


def chosen_scorer(
    quality: QualityOptions,
    captions: Sequence[str],
    *,
    device: str = "auto",
    found: Callable[[dict[str, str | None]], None] = lambda _: None,
) -> Scorer | None:
    """Return the CLIP scorer if the options choose it, loaded on first use; None means the fitted classifier.

    Args:
        quality: names the scorer and its model.
        captions: one per class, such as "a photo of a bag".
        device: device to run on.
        found: called with model, revision and license once the model is found.
    """
    if not needs_clip(quality):
        return None

    @cache
    def loaded() -> Scorer:
        folder = find_model(quality.scorer_model, layout=CLIP)
        scorer = clip_scorer(folder, captions, device=device)
        found(folder.facts | {"weights": folder.weights})
        return scorer

    return lambda images: loaded()(images)


def clip_scorer(model: ModelFolder, captions: Sequence[str], *, device: str = "auto", batch_size: int = 64) -> Scorer:
    """Return a zero-shot scorer: CLIP's (or SigLIP's) softmax over one caption per class.

    Args:
        model: a ``CLIPModel`` or similar, with its tokenizer and image processor; see ``find_model``.
        captions: one per class, such as "a photo of a bag".
        device: device to run on.
        batch_size: images or captions at once.

    Raises:
        EnvironmentFault: the model cannot be loaded.
        OptionError: it does not compare images with texts.
    """
    import torch

    from synaug.runtime import chosen_device

    network, processor = _loaded_clip(model)
    network = network.to(chosen_device(device))

    def embedded(texts: Sequence[str], pictures: Sequence[Image.Image]) -> CLIPOutput:
        inputs = processor(
            text=list(texts), images=list(pictures), return_tensors="pt", padding="max_length", truncation=True
        )
        with torch.inference_mode():
            return network(**inputs.to(network.device))

    blank, parts = [Image.new("RGB", (32, 32))], range(0, len(captions), batch_size)
    classes = torch.cat([embedded(captions[i : i + batch_size], blank).text_embeds for i in parts]).T
    scale = network.logit_scale.detach().exp()  # SigLIP's bias, equal for all classes, has no effect on the softmax

    def score(images: Sequence[Image.Image]) -> np.ndarray:
        found = [np.zeros((0, len(captions)), np.float32)]
        for start in range(0, len(images), batch_size):
            pictures = [image.convert("RGB") for image in images[start : start + batch_size]]
            logits = scale * embedded(captions[:1], pictures).image_embeds @ classes
            found.append(logits.softmax(1).cpu().numpy())
        return np.concatenate(found)

    return score


def _loaded_clip(model: ModelFolder) -> tuple[PreTrainedModel, ProcessorMixin]:
    import torch
    from transformers import AutoModel, AutoProcessor

    safely = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet():
            network = AutoModel.from_pretrained(
                model.path, use_safetensors=True, variant=model.variant, dtype=torch.float32, **safely
            )
            if not hasattr(network, "logit_scale"):
                raise OptionError(
                    f"{model.name} is a {type(network).__name__}, which does not compare images with texts; "
                    f"name a CLIP or SigLIP model with quality.scorer_model, such as {SIGLIP}."
                )
            return network.eval(), AutoProcessor.from_pretrained(model.path, **safely)
    except OptionError:
        raise
    except (OSError, ValueError) as error:
        raise EnvironmentFault(f"The model {model.name} cannot be loaded: {error}") from error
