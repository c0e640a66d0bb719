"""Test that scorers return probabilities, never judge memorized images, and handle classes of one image."""

import collections
import json
import shutil

import numpy as np
import pytest
from huggingface_hub import constants
from PIL import Image

from synaug.config import QualityOptions
from synaug.data import read_data
from synaug.data.images.thumbnails import SIDE, thumbnails
from synaug.data.manifest import read_image
from synaug.data.manifest_file import read_manifest
from synaug.errors import EnvironmentFault, OptionError
from synaug.recipes import read_recipe
from synaug.runtime import demo_data, demo_recipe
from synaug.synthesis.generators.models.model_sources import CLIP, TRANSFORMERS, find_model
from synaug.synthesis.generators.models.weight_files import wanted_files
from synaug.synthesis.quality.class_scorers import (
    MAX_FITTED,
    chosen_scorer,
    clip_scorer,
    fit_features,
    fit_pixel_scorer,
)
from synaug.synthesis.quality.gates import class_thresholds, margins


def pictures(labels, rng):
    images = rng.integers(0, 80, (len(labels), 20, 20)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 6 * label : 6 * label + 6] += np.uint8(100)
    return [Image.fromarray(image) for image in images]


def test_the_pixel_scorer_distinguishes_classes_even_out_of_fold():
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


def test_classes_of_one_image_or_none_are_tolerated():
    rng, labels = np.random.default_rng(0), np.array([0] * 10 + [1])
    fitted = fit_pixel_scorer(thumbnails(pictures(labels, rng)), labels, num_classes=3)
    assert fitted.out_of_fold.shape == (11, 3)
    assert np.isfinite(np.log(fitted.out_of_fold)).all()


def test_a_rare_class_is_judged_by_models_that_saw_the_rest_of_it():
    rng, labels = np.random.default_rng(0), np.repeat([0, 1], [60, 2])
    fitted = fit_pixel_scorer(thumbnails(pictures(labels, rng)), labels, num_classes=2)
    assert (fitted.out_of_fold.argmax(1) == labels).all()


def test_above_the_limit_the_scorer_still_distinguishes_classes():
    """21,000 images, more than MAX_FITTED: images and labels must be subsampled together."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1, 2], [18_000, 2_700, 300]))
    pixels = rng.integers(0, 80, (len(labels), SIDE, SIDE)).astype(np.uint8)
    for label in range(3):
        pixels[labels == label, :, 5 * label : 5 * label + 5] += np.uint8(30)
    pixels = pixels.reshape(len(labels), -1)
    fitted = fit_pixel_scorer(pixels, labels, num_classes=3)
    assert len(labels) > MAX_FITTED
    for label in range(3):
        assert (fitted.out_of_fold[labels == label].argmax(1) == label).mean() > 0.95
    images = [Image.fromarray(pixels[row].reshape(SIDE, SIDE)) for row in range(0, len(labels), 40)]
    assert (fitted.scorer(images).argmax(1) == labels[::40]).mean() > 0.95


# ---------------------------------------------------------------- CLIP and SigLIP

CAPTIONS = ["a photo of a bag", "a photo of a coat", "dress"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="session")
def readers(tmp_path_factory, script):
    """Folders with a real CLIP and a real SigLIP model, tiny and with random weights."""
    import torch
    import transformers as of

    from synaug.runtime.quiet import quiet

    root = tmp_path_factory.mktemp("readers")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = small | {"image_size": 32, "patch_size": 8}
    square = {"height": 32, "width": 32}
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = script.make_tokenizer(root)
        text = small | {
            "vocab_size": len(tokenizer), "max_position_embeddings": 20, "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
        }  # fmt: skip
        clip = of.CLIPModel(of.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
        siglip = of.SiglipModel(of.SiglipConfig(text_config=text, vision_config=vision))
        looks = of.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=square)
        of.CLIPProcessor(image_processor=looks, tokenizer=tokenizer).save_pretrained(root / "clip")
        looks = of.SiglipImageProcessor(size=square)
        of.SiglipProcessor(image_processor=looks, tokenizer=tokenizer).save_pretrained(root / "siglip")
        for name, network in (("clip", clip), ("siglip", siglip)):
            network.save_pretrained(root / name)
            (root / name / "README.md").write_text("---\nlicense: mit\n---\n")
    return root


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_each_image_is_scored_by_one_caption_per_class_as_the_network_itself_does(readers, name):
    import torch
    from transformers import AutoModel, AutoProcessor

    images = pictures(np.array([0, 1, 2, 0, 1]), np.random.default_rng(0))
    scorer = clip_scorer(find_model(str(readers / name), layout=TRANSFORMERS), CAPTIONS, device="cpu", batch_size=2)
    found = scorer(images)
    network, processor = AutoModel.from_pretrained(readers / name), AutoProcessor.from_pretrained(readers / name)
    color = [image.convert("RGB") for image in images]
    inputs = processor(text=CAPTIONS, images=color, return_tensors="pt", padding="max_length")
    with torch.inference_mode():
        expected = network(**inputs).logits_per_image.softmax(1).numpy()
    assert np.abs(found - expected).max() < 1e-5
    assert np.ptp(found, 0).max() > 1e-3
    assert scorer([]).shape == (0, 3)


@pytest.fixture
def on_the_hub(readers, tmp_path, monkeypatch):
    """The CLIP model in the form that the Hub's client leaves after a download."""
    home = tmp_path / "hub" / "models--someone--clip"
    shutil.copytree(readers / "clip", home / "snapshots" / COMMIT)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return "someone/clip"


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_the_command_rejects_by_the_real_images_own_scores(synaug, photos, readers, on_the_hub, tmp_path, name):
    model, revision = (on_the_hub, COMMIT) if name == "clip" else (str(readers / name), None)
    quality = {"gates": ["off_class"], "scorer": "clip", "scorer_model": model, "off_class_quantile": 0.4}
    quality |= {"max_attempts": 2, "max_missing": 1}
    (tmp_path / "r.json").write_text(json.dumps({"quality": quality, "generate": {"steps": 1, "device": "cpu"}}))
    out = tmp_path / "run"
    options = ["--recipe", tmp_path / "r.json", "--model", "embedded", "--target", 16]
    assert synaug("plan", photos, "--out", out, *options).code == 0
    made = synaug("generate", out, "--json")
    assert made.code == 0, made.err
    lock = json.loads((out / "synaug.lock.json").read_text())
    assert lock["scorer"].items() >= {"model": model, "revision": revision, "license": "mit"}.items()
    assert lock["model"]["model"] == "embedded"

    data, captions = read_manifest(out / "data.parquet").split("train"), ["an ankle boot", "a bag", "a coat"]
    captions = [f"a photo of {words}" for words in captions]
    scorer = clip_scorer(find_model(str(readers / name), layout=TRANSFORMERS), captions, device="cpu")
    real = scorer([read_image(data, row) for row in range(len(data))])
    thresholds = class_thresholds(probabilities=real, labels=data.labels, quantile=0.4)
    lines = next((out / "journal").glob("worker-*")).read_text().splitlines()
    records = [record for record in map(json.loads, lines) if record["kind"] == "attempt"]
    for record in records:
        limit = thresholds[data.class_names.index(record["cell"])]
        margin = record["scores"]["margin"]  # written with five decimals, so ties may go either way
        assert abs(margin - limit) < 1e-4 or record["verdict"] == ("accepted" if margin >= limit else "rejected")
    counts = collections.Counter(record["verdict"] for record in records)
    assert counts["rejected"] == json.loads(made.out)["rejected"]["off_class"] > 0
    assert counts["accepted"] > 0
    (path, label, margin) = next(
        (record["path"], data.class_names.index(record["cell"]), record["scores"]["margin"])
        for record in records
        if record["verdict"] == "accepted"
    )
    with Image.open(out / path) as image:
        assert margins(probabilities=scorer([image]), labels=np.array([label]))[0] == pytest.approx(margin, abs=1e-3)


def test_the_embedded_judge_recognizes_most_clothes():
    data = read_data(demo_data(), read_recipe(demo_recipe()).data).split("test")
    rows = np.arange(0, len(data), 20)
    captions = [f"a photo of {'an' if name[0] in 'aeiou' else 'a'} {name}" for name in data.class_names]
    scorer = clip_scorer(find_model("embedded", layout=CLIP), captions, device="cpu")
    found = scorer([read_image(data, int(row)) for row in rows]).argmax(1)
    assert (found == data.labels[rows]).mean() > 0.75


def test_the_embedded_judge_refuses_classes_that_it_does_not_know(synaug, photos, tmp_path):
    options = ["--model", "embedded", "--set", "quality.scorer=clip", "--set", "quality.scorer_model=embedded"]
    aliases = tmp_path / "aliases.csv"
    aliases.write_text("class,name\nbag,suitcase\n")
    done = synaug("plan", photos, "--out", tmp_path / "run", *options, "--aliases", aliases)
    assert done.code == 2
    assert "but not bag" in done.err
    assert not (tmp_path / "run" / "plan.json").exists()
    assert synaug("plan", photos, "--out", tmp_path / "run", *options).code == 0


def test_without_off_class_no_scorer_is_looked_for():
    quality = QualityOptions(gates=("broken",), scorer="clip", scorer_model="./nowhere")
    assert chosen_scorer(quality, CAPTIONS) is None
    assert chosen_scorer(QualityOptions(), CAPTIONS) is None
    asked = chosen_scorer(QualityOptions(scorer="clip", scorer_model="./nowhere"), CAPTIONS)
    with pytest.raises(EnvironmentFault, match=r"\./nowhere does not exist.*or set quality\.scorer: classifier"):
        asked([])


def test_run_misses_the_scorer_before_anything_is_written(synaug, photos, tmp_path):
    (tmp_path / "r.json").write_text(json.dumps({"quality": {"scorer": "clip", "scorer_model": "someone/unseen"}}))
    done = synaug("run", photos, "--out", tmp_path / "run", "--model", "embedded", "--recipe", tmp_path / "r.json")
    assert done.code == 5
    assert "someone/unseen cannot be downloaded from the Hub: it was never downloaded. Ways out:" in done.err
    assert not (tmp_path / "run").exists()


def test_a_scorer_has_to_be_safe_whole_and_of_the_right_kind(readers, tmp_path):
    folder = shutil.copytree(readers / "clip", tmp_path / "clip")
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(EnvironmentFault, match="cannot be loaded"):
        clip_scorer(find_model(str(folder), layout=TRANSFORMERS), CAPTIONS)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(EnvironmentFault, match=r"only pytorch_model\.bin, which may execute code"):
        find_model(str(folder), layout=TRANSFORMERS)
    (folder / "config.json").unlink()
    with pytest.raises(EnvironmentFault, match=r"config\.json,.*model"):
        find_model(str(folder), layout=TRANSFORMERS)


def test_a_network_that_does_not_read_is_named(tmp_path):
    from transformers import ViTConfig, ViTModel

    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ViTModel(ViTConfig(**small, image_size=32, patch_size=8)).save_pretrained(tmp_path)
    with pytest.raises(OptionError, match=r"ViTModel,.*images.*CLIP"):
        clip_scorer(find_model(str(tmp_path), layout=TRANSFORMERS), CAPTIONS)


def test_of_a_network_the_weights_at_the_top_are_downloaded():
    files = [
        "config.json",
        "model.safetensors",
        "pytorch_model.bin",
        "onnx/model.safetensors",
        "model.fp16.safetensors",
    ]
    assert wanted_files(files, variant=None, at_top=True) == files[:2]


def test_rounding_errors_do_not_count_as_features():
    """Sums differ in their last bits with the number of threads; a component of such bits must not reach the scorer."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 40)
    features = (np.eye(3)[labels] * 4 + rng.normal(size=(120, 3))) @ rng.normal(size=(3, 64)) * 50
    scores = [
        fit_features(features + rng.normal(scale=1e-4, size=features.shape), labels, num_classes=3).out_of_fold
        for _ in range(3)
    ]
    assert np.allclose(scores[0], scores[1], atol=1e-3)
    assert np.allclose(scores[0], scores[2], atol=1e-3)
