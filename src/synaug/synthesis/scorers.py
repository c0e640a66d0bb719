"""Say how probable each class is for an image: from small pictures of the real images, or by CLIP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

SIDE = 16
FOLDS = 5
MAX_FITTED = 20_000
_SMALLEST = 1e-12

Scorer = Callable[[Sequence[Image.Image]], np.ndarray]
"""Returns probabilities of shape ``(N, C)`` for N images."""


def thumbnails(images: Sequence[Image.Image], *, mode: str = "L") -> np.ndarray:
    """Return the images as small as ``SIDE``, uint8 of shape ``(N, D)``."""
    size = (SIDE, SIDE)
    small = [np.asarray(image.convert(mode).resize(size, Image.Resampling.BOX)).ravel() for image in images]
    return np.stack(small) if small else np.zeros((0, SIDE * SIDE * len(mode)), np.uint8)


@dataclass(frozen=True)
class FittedScorer:
    """A scorer, and what it would say of each real image had it not seen that image, shape ``(N, C)``."""

    scorer: Scorer
    out_of_fold: np.ndarray


def fit_pixel_scorer(
    pixels: np.ndarray, labels: np.ndarray, *, num_classes: int, mode: str = "L", seed: int = 0
) -> FittedScorer:
    """Fit a class-balanced logistic regression on the principal components of thumbnails.

    Args:
        pixels: ``thumbnails`` of the real images, shape ``(N, D)``.
        labels: shape ``(N,)``.
        num_classes: C; also classes without an image count.
        mode: the colour mode of the thumbnails.
        seed: decides the folds.
    """
    rng = np.random.default_rng(seed)
    folds = _folds(labels, rng)
    out_of_fold = np.full((len(labels), num_classes), _SMALLEST)
    for fold in range(FOLDS):
        seen = np.flatnonzero(folds != fold)
        if len(np.unique(labels[seen])) > 1 and len(seen) < len(labels):
            model = _fit(pixels[_at_most(seen, labels, rng)], labels[_at_most(seen, labels, rng)])
            out_of_fold[folds == fold] = _probabilities(model, pixels[folds == fold], num_classes)
    everything = _at_most(np.arange(len(labels)), labels, rng)
    model = _fit(pixels[everything], labels[everything])

    def score(images: Sequence[Image.Image]) -> np.ndarray:
        return _probabilities(model, thumbnails(images, mode=mode), num_classes)

    return FittedScorer(score, out_of_fold)


def _folds(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a fold for each image; each class is spread over the folds as evenly as it goes."""
    folds = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        mine = rng.permutation(np.flatnonzero(labels == label))
        folds[mine] = (np.arange(len(mine)) + rng.integers(FOLDS)) % FOLDS
    return folds


def _at_most(rows: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return up to ``MAX_FITTED`` of the rows, those of large classes first left out."""
    if len(rows) <= MAX_FITTED:
        return rows
    mixed = rng.permutation(rows)
    rank = np.zeros(len(mixed), np.int64)
    for label in np.unique(labels[rows]):
        mine = labels[mixed] == label
        rank[mine] = np.arange(mine.sum())
    return mixed[np.argsort(rank, kind="stable")[:MAX_FITTED]]


def _fit(pixels: np.ndarray, labels: np.ndarray) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    components = min(64, len(labels) - 1, pixels.shape[1])
    model = make_pipeline(
        PCA(components, whiten=False, svd_solver="covariance_eigh"),
        StandardScaler(),
        LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000),
    )
    return model.fit(pixels.astype(np.float32) / 255, labels)


def _probabilities(model: Any, pixels: np.ndarray, num_classes: int) -> np.ndarray:
    probabilities = np.full((len(pixels), num_classes), _SMALLEST)
    if len(pixels):
        probabilities[:, model.classes_] = model.predict_proba(pixels.astype(np.float32) / 255)
    return np.maximum(probabilities, _SMALLEST)


def clip_scorer(model: str, prompts: Sequence[str], *, device: str = "cpu", batch_size: int = 64) -> Scorer:
    """Return a zero-shot scorer: CLIP's (or SigLIP's) softmax over one prompt a class.

    Args:
        model: folder or Hub id of a ``CLIPModel`` or alike, with its tokenizer and image processor.
        prompts: one a class, such as "a photo of a bag".
        device: where it runs.
        batch_size: images at once.
    """
    import torch
    from transformers import AutoModel, AutoProcessor

    processor = AutoProcessor.from_pretrained(model)
    network = AutoModel.from_pretrained(model, use_safetensors=True).eval().to(device)

    def score(images: Sequence[Image.Image]) -> np.ndarray:
        parts = []
        for start in range(0, len(images), batch_size):
            pictures = [image.convert("RGB") for image in images[start : start + batch_size]]
            inputs = processor(
                text=list(prompts), images=pictures, return_tensors="pt", padding="max_length", truncation=True
            )
            with torch.inference_mode():
                logits = network(**inputs.to(device)).logits_per_image
            parts.append(logits.float().softmax(1).cpu().numpy())
        return np.concatenate(parts) if parts else np.zeros((0, len(prompts)))

    return score
