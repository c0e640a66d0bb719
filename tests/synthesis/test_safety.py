"""Test that images flagged by the pipeline's own safety checker are counted, never kept, and replaced."""

import json

import numpy as np
import pytest

from synaug.config import GenerateOptions
from synaug.runtime.quiet import quiet
from synaug.synthesis.generators.loading import load_generator

PROMPTS = [f"a photo of a {word}" for word in ("bag", "coat", "ankle boot")] * 4


@pytest.fixture(scope="module")
def watched(stable_diffusion, tmp_path_factory):
    """Stable Diffusion with a real, tiny safety checker that flags about half of its images."""
    import torch
    from diffusers import StableDiffusionPipeline
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    made = load_generator(str(stable_diffusion), GenerateOptions(device="cpu"))(PROMPTS, seeds=range(len(PROMPTS)))
    folder = tmp_path_factory.mktemp("models") / "watched"
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    with quiet(), torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        vision = small | {"image_size": 32, "patch_size": 8}
        checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=8)).eval()
        extractor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
        seen = extractor([each.image for each in made], return_tensors="pt").pixel_values
        embedded = checker.visual_projection(checker.vision_model(seen)[1])
        concept = torch.linalg.svd(embedded - embedded.mean(0)).Vh[0]
        checker.concept_embeds[0] = concept
        checker.concept_embeds_weights[0] = torch.cosine_similarity(embedded, concept[None]).median()
        pipeline = StableDiffusionPipeline.from_pretrained(
            stable_diffusion, safety_checker=checker, feature_extractor=extractor, requires_safety_checker=True
        )
        pipeline.save_pretrained(folder)
    (folder / "synaug.json").write_text((stable_diffusion / "synaug.json").read_text())
    return folder


def test_a_flagged_image_is_a_problem_and_not_a_black_image(watched, stable_diffusion):
    options = GenerateOptions(device="cpu")
    made = load_generator(str(watched), options)(PROMPTS, seeds=range(len(PROMPTS)))
    free = load_generator(str(stable_diffusion), options)(PROMPTS, seeds=range(len(PROMPTS)))
    flagged = [each.problem == "flagged" for each in made]
    assert 2 < sum(flagged) < len(PROMPTS) - 2
    for each, other, bad in zip(made, free, flagged, strict=True):
        if bad:
            parts = np.asarray(other.image, float).reshape(8, 4, 8, 4, 3).mean((1, 3))
            shown = np.asarray(each.image).reshape(8, 4, 8, 4, 3)
            assert (shown == shown[:, :1, :, :1]).all()  # nothing finer than the parts
            assert np.abs(shown[:, 0, :, 0] - parts).max() < 2
        else:
            assert np.array_equal(each.image, other.image)


@pytest.mark.parametrize("gates", [["broken"], []])
def test_the_command_counts_flagged_images_and_replaces_them(synaug, photos, watched, tmp_path, gates):
    quality = {"gates": gates, "max_attempts": 20, "max_missing": 0}
    train = {"network": "resnet8", "stage1": {"steps": 2, "batch_size": 16}}
    (tmp_path / "r.json").write_text(json.dumps({"quality": quality, "train": train}))
    out, command = tmp_path / "run", "run" if gates else "plan"
    options = ["--recipe", tmp_path / "r.json", "--model", watched, "--target", 14]
    methods = ["--methods", "cross_entropy"] if gates else []
    done = synaug(command, photos, "--out", out, *options, *methods)
    assert done.code == 0, done.err
    made = json.loads(synaug("generate", out, "--json").out)
    assert made["accepted"] == made["requested"] > 8
    assert made["rejected"]["flagged"] > 2
    images = list((out / "synthetic").rglob("*.png"))
    assert len(images) == made["accepted"]
    if gates:
        report = json.loads((out / "report.json").read_text())["synthesis"]
        assert report["rejected"]["flagged"] == made["rejected"]["flagged"]
        assert sum(each["flagged"] for each in report["rejected_by_class"].values()) == made["rejected"]["flagged"]
        assert "flagged by the safety checker" in (out / "report.html").read_text()
        assert "are shown as mosaics; the originals were never stored" in (out / "report.html").read_text()
        examples = list((out / "rejected" / "flagged").iterdir())
        assert len(examples) == made["rejected"]["flagged"]
        assert synaug("review", out).code == 0
        name, table = examples[0].stem, out / "review" / "decisions.csv"
        table.write_text(f"id,decision\n{name},accept\n")
        refused = synaug("review", out, "--apply")
        assert (refused.code, "only a mosaic was kept" in refused.err) == (4, True)
