"""Scorers return probabilities, judge no image they have memorised, and bear classes of one image."""

import numpy as np
import pytest
from PIL import Image

from synaug.synthesis.scorers import _at_most, _folds, clip_scorer, fit_pixel_scorer, thumbnails


def pictures(labels, rng):
    images = rng.integers(0, 80, (len(labels), 20, 20)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 6 * label : 6 * label + 6] += np.uint8(100)
    return [Image.fromarray(image) for image in images]


def test_the_pixel_scorer_tells_classes_apart_also_out_of_fold():
    rng, labels = np.random.default_rng(0), np.repeat([0, 1, 2], [30, 10, 4])
    images = pictures(labels, rng)
    fitted = fit_pixel_scorer(thumbnails(images), labels, num_classes=3)
    assert (fitted.out_of_fold.argmax(1) == labels).mean() > 0.9
    assert np.allclose(fitted.scorer(images).sum(1), 1, atol=1e-6)


def test_out_of_fold_scores_of_random_labels_are_no_better_than_chance():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    fitted = fit_pixel_scorer(thumbnails(pictures(np.zeros(200, int), rng)), labels, num_classes=2)
    assert (fitted.out_of_fold.argmax(1) == labels).mean() < 0.62


def test_classes_of_one_image_or_none_are_borne():
    rng, labels = np.random.default_rng(0), np.array([0] * 10 + [1])
    fitted = fit_pixel_scorer(thumbnails(pictures(labels, rng)), labels, num_classes=3)
    assert fitted.out_of_fold.shape == (11, 3)
    assert np.isfinite(np.log(fitted.out_of_fold)).all()


def test_each_class_is_spread_over_the_folds():
    labels = np.repeat([0, 1], [50, 5])
    folds = _folds(labels, np.random.default_rng(0))
    assert np.bincount(folds[labels == 0]).tolist() == [10] * 5
    assert sorted(folds[labels == 1]) == [0, 1, 2, 3, 4]


def test_large_classes_are_cut_first(monkeypatch):
    monkeypatch.setattr("synaug.synthesis.scorers.MAX_FITTED", 20)
    labels = np.repeat([0, 1], [100, 5])
    chosen = _at_most(np.arange(105), labels, np.random.default_rng(0))
    assert np.bincount(labels[chosen]).tolist() == [15, 5]


@pytest.fixture(scope="session")
def clip(tmp_path_factory, script):
    """A folder with a real CLIP model of toy size and random weights."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

    from synaug.synthesis.diffusion import quiet

    folder = tmp_path_factory.mktemp("clip")
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = script.make_tokenizer(folder)
        small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
        text = small | {
            "vocab_size": len(tokenizer), "max_position_embeddings": 20, "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
        }  # fmt: skip
        vision = small | {"image_size": 32, "patch_size": 8}
        CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16)).save_pretrained(folder)
        size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
        CLIPProcessor(image_processor=CLIPImageProcessor(**size), tokenizer=tokenizer).save_pretrained(folder)
    return folder


def test_clip_scores_each_image_by_one_prompt_a_class(clip):
    rng = np.random.default_rng(0)
    images = pictures(np.array([0, 1, 2, 0, 1]), rng)
    scorer = clip_scorer(str(clip), ["a photo of a bag", "a photo of a coat", "dress"], batch_size=2)
    found = scorer(images)
    assert found.shape == (5, 3)
    assert np.allclose(found.sum(1), 1, atol=1e-5)
    assert np.allclose(found[3], scorer(images[3:4])[0], atol=1e-4)
    assert scorer([]).shape == (0, 3)
