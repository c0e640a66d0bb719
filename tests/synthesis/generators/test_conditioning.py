"""References, masks and ControlNet: real pipelines of random weights, whose images depend on their inputs."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from synaug.config import GenerateOptions
from synaug.data.images.codec import alpha_channel
from synaug.data.manifest import from_arrays
from synaug.data.readers import read_data
from synaug.errors import DataError, EnvironmentFault, OptionError
from synaug.pipeline.choosing.folds import images_shown
from synaug.runtime import storage
from synaug.synthesis.execution.provenance import provenance
from synaug.synthesis.execution.worker import synthesize
from synaug.synthesis.generators.conditioning import edges
from synaug.synthesis.generators.init_images import make_guides
from synaug.synthesis.generators.loading import load_generator
from synaug.synthesis.generators.object_masks import Masks, Segmenter

SIDE = 32


def planned(plan, variant="text", **options):
    changed = plan.options.model_copy(update={"variant": variant})
    return replace(plan, options=changed, generate=GenerateOptions(device="cpu", steps=2, guidance=1.5, **options))


def generator_of(small_diffusion, plan):
    return load_generator(str(small_diffusion), plan.generate, variant=plan.options.variant)


def pixels(made):
    return [np.asarray(each.image) for each in made]


def photo(seed):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8))


# ---------------------------------------------------------------- references


def test_an_image_depends_on_its_own_references_and_not_on_its_batch(small_diffusion, plan, adapter):
    made_by = generator_of(small_diffusion, planned(plan, "reference", adapter=str(adapter), references=3))
    some, others = [photo(1), photo(2)], [photo(3), photo(4), photo(5)]
    both = pixels(made_by(["a bag", "a bag"], seeds=[7, 7], references=[some, others]))
    again = pixels(made_by(["a bag", "a bag"], seeds=[7, 7], references=[some, some]))
    assert not np.array_equal(both[0], both[1])
    assert np.array_equal(both[0], again[0])
    assert np.array_equal(again[0], again[1])
    with pytest.raises(OptionError, match="references"):
        made_by(["a bag"], seeds=[7])


def test_references_are_training_images_of_the_class_and_recorded(small_diffusion, plan, real, adapter, tmp_path):
    plan = planned(plan, "reference", adapter=str(adapter), references=5)
    generator, guides = generator_of(small_diffusion, plan), make_guides(plan, real)
    synthesize(plan, generator, folder=tmp_path, guides=guides)
    table = provenance(plan, tmp_path)
    labels = dict(zip(real.frame["id"], real.labels, strict=True))
    assert all({labels[name] for name in row.guides} == {row.label} for row in table.itertuples())
    numbers = table.groupby("label")["guides"].agg(lambda each: max(map(len, each)))
    assert numbers.to_dict() == {1: 5, 2: 3}  # the third class has three images
    assert all(len(set(each)) == len(each) for each in table["guides"])
    assert table["adapter"].unique().tolist() == [str(adapter)]
    shown = images_shown(real, SimpleNamespace(plan=plan, path=tmp_path))  # which leave the training set with them
    assert shown.shape == (len(table), 5)
    known = [{real.frame["id"][row] for row in rows if row >= 0} for rows in shown]
    assert sorted(map(sorted, known)) == sorted(map(sorted, table["guides"]))


def test_an_adapter_that_is_missing_or_does_not_fit_is_named(small_diffusion, plan, adapter, tmp_path):
    with pytest.raises(EnvironmentFault, match="adapter_weights"):
        generator_of(small_diffusion, planned(plan, "reference", adapter=str(tmp_path)))
    encoder = tmp_path / "models" / "image_encoder"
    shutil.copytree(adapter / "models" / "image_encoder", encoder)
    (tmp_path / "models" / "ip-adapter_sd15.safetensors").write_bytes(b"no weights")
    with pytest.raises(EnvironmentFault, match="cannot be loaded"):
        generator_of(small_diffusion, planned(plan, "reference", adapter=str(tmp_path)))
    (encoder / "model.safetensors").rename(encoder / "pytorch_model.bin")
    with pytest.raises(EnvironmentFault, match="safetensors only"):
        generator_of(small_diffusion, planned(plan, "reference", adapter=str(tmp_path)))
    with pytest.raises(ValueError, match="adapter_weights"):
        GenerateOptions(adapter_weights="../../ip-adapter.bin")


# ---------------------------------------------------------------- masks


def test_inpainting_keeps_the_pixels_that_the_mask_protects(small_diffusion, plan):
    made_by = generator_of(small_diffusion, planned(plan, "inpaint"))
    mask = Image.new("L", (SIDE, SIDE))
    mask.paste(255, (0, 0, SIDE, SIDE // 2))
    (made,) = pixels(made_by(["a bag"], seeds=[3], images=[photo(1)], masks=[mask]))
    side = made.shape[0]
    kept = np.asarray(photo(1).resize((side, side), Image.Resampling.BICUBIC))
    assert np.array_equal(made[side // 2 :], kept[side // 2 :])
    assert not np.array_equal(made[: side // 2], kept[: side // 2])
    with pytest.raises(OptionError, match="masks"):
        made_by(["a bag"], seeds=[3], images=[photo(1)])


@pytest.fixture
def cut_outs(tmp_path):
    """A class-per-folder tree of cut-outs with alpha, and a table of mask files beside it."""
    rows = ["image,mask"]
    for label, (name, number) in enumerate((("bag", 4), ("coat", 2))):
        folder = storage.make_folder(tmp_path / "photos" / name)
        for i in range(number):
            image = photo(10 * label + i).convert("RGBA")
            alpha = Image.new("L", image.size)
            alpha.paste(255, (8, 8, 24, 24))
            image.putalpha(alpha)
            image.save(folder / f"{i}.png")
            mask = Image.new("L", image.size)
            mask.paste(255, (0, 0, 16, 32))
            mask.save(tmp_path / f"{name}-{i}.png")
            rows.append(f"{name}/{i}.png,{name}-{i}.png")
    (tmp_path / "masks.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def masks_of(plan, cut_outs, **options):
    real = read_data(cut_outs / "photos")
    return Masks(planned(plan, "inpaint", **options), real), real


def test_masks_come_from_alpha_or_a_table(plan, cut_outs):
    by_alpha, real = masks_of(plan, cut_outs)
    inside = np.zeros((SIDE, SIDE), bool)
    inside[8:24, 8:24] = True
    assert np.array_equal(np.asarray(by_alpha(0, photo(0))) > 0, ~inside)
    by_alpha, _ = masks_of(plan, cut_outs, inpaint="object")
    assert np.array_equal(np.asarray(by_alpha(0, photo(0))) > 0, inside)
    by_table, _ = masks_of(plan, cut_outs, masks=str(cut_outs / "masks.csv"), inpaint="object")
    assert np.asarray(by_table(0, photo(0)))[:, :16].all()
    assert not np.asarray(by_table(0, photo(0)))[:, 16:].any()
    assert len(real) == 6


def test_a_segmentation_model_receives_the_class(plan, segmenter):
    find = Segmenter(str(segmenter), planned(plan, "inpaint"))
    found = find(photo(0), "bag")
    assert (found.size, found.mode) == ((SIDE, SIDE), "L")
    assert set(np.unique(found)) <= {0, 255}
    assert np.array_equal(find(photo(0), "bag"), found)


def test_a_folder_that_is_not_a_segmentation_model_is_named(plan, cut_outs, controlnet):
    with pytest.raises(EnvironmentFault, match="transformers model"):
        masks_of(plan, cut_outs, masks=str(controlnet))


def test_masks_that_cannot_be_used_are_named(plan, cut_outs, tmp_path):
    real = from_arrays(np.zeros((2, 8, 8, 3), np.uint8), [0, 1], class_names=["bag", "coat"])
    with pytest.raises(DataError, match="no alpha channel"):
        Masks(planned(plan, "inpaint"), real)(0, photo(0))
    table = cut_outs / "masks.csv"
    text = table.read_text()
    table.write_text(text.replace("bag/0.png,", "bag/9.png,"))
    by_table, _ = masks_of(plan, cut_outs, masks=str(table))
    with pytest.raises(DataError, match=r"no mask for the image bag/0\.png"):
        by_table(0, photo(0))
    table.write_text(text.replace("bag-0.png", "../../bag-0.png"))
    with pytest.raises(DataError, match="outside the folder"):
        masks_of(plan, cut_outs, masks=str(table))
    table.write_text(text)
    with pytest.raises(DataError, match=r"'segment' \(generate.mask_column\)"):
        masks_of(plan, cut_outs, masks=str(table), mask_column="segment")
    Image.new("L", (SIDE, SIDE), 255).save(cut_outs / "bag-0.png")
    by_table, _ = masks_of(plan, cut_outs, masks=str(table))
    with pytest.raises(DataError, match="the object covers the whole image"):
        by_table(0, photo(0))


def test_alpha_is_read_from_the_formats_that_have_it(tmp_path):
    photo(0).save(tmp_path / "a.png")
    assert alpha_channel((tmp_path / "a.png").read_bytes()) is None
    clear = photo(0).convert("RGBA")
    clear.putalpha(7)
    clear.save(tmp_path / "b.webp", lossless=True, exact=True)
    assert np.asarray(alpha_channel((tmp_path / "b.webp").read_bytes())).mean() == 7


# ---------------------------------------------------------------- ControlNet


def test_images_follow_the_edges_of_their_control(small_diffusion, plan, controlnet):
    made_by = generator_of(small_diffusion, planned(plan, controlnet=str(controlnet)))
    first, second, same = pixels(
        made_by(["a bag"] * 3, seeds=[7] * 3, controls=[photo(1), Image.new("L", (SIDE, SIDE)), photo(1)])
    )
    assert not np.array_equal(first, second)
    assert np.array_equal(first, same)
    with pytest.raises(OptionError, match="controls"):
        made_by(["a bag"], seeds=[7])


def test_edges_are_where_the_brightness_changes():
    image = Image.new("L", (SIDE, SIDE))
    image.paste(200, (16, 0, SIDE, SIDE))
    found = np.asarray(edges(image).convert("L")) > 0
    assert found[:, 14:18].any()
    assert not found[:, :12].any()
    assert not np.asarray(edges(Image.new("L", (SIDE, SIDE), 90))).any()


def test_a_folder_that_is_not_a_controlnet_is_named(small_diffusion, plan, tmp_path):
    with pytest.raises(EnvironmentFault, match="not a diffusers model"):
        generator_of(small_diffusion, planned(plan, controlnet=str(tmp_path)))


# ---------------------------------------------------------------- with the rest of a run


def test_each_kind_is_another_plan(plan):
    kinds = [
        planned(plan), planned(plan, "reference"), planned(plan, "reference", references=2), planned(plan, "inpaint"),
        planned(plan, "inpaint", inpaint="object"), planned(plan, controlnet="a/b"),
    ]  # fmt: skip
    assert len({each.digest for each in kinds}) == len(kinds)
    assert planned(plan, references=2).digest == planned(plan).digest  # which does nothing there


def test_interrupted_inpainting_resumes_with_the_same_images(synaug, cut_outs, small_diffusion, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"plan: {{model: {small_diffusion}, variant: inpaint, target: 8}}\n"
        "generate: {steps: 2, batch_size: 2, device: cpu}\nquality: {gates: [broken, copy, leak]}\n"
    )
    runs = [tmp_path / "whole", tmp_path / "cut"]
    for run in runs:
        assert synaug("plan", cut_outs / "photos", "--recipe", recipe, "--out", run).code == 0
    done = synaug("generate", runs[0])
    assert "leak" in done.out
    assert "copy" in done.out
    journal = runs[1] / "journal" / "worker-0-of-1.jsonl"
    synaug("generate", runs[1])
    journal.write_text("".join(line + "\n" for line in journal.read_text().splitlines()[:4]))
    synaug("generate", runs[1])

    def images(run):
        return {path.name: path.read_bytes() for path in (run / "synthetic").rglob("*.png")}

    assert images(runs[0]) == images(runs[1])
    attempts = [json.loads(line) for line in journal.read_text().splitlines()]
    assert all(len(each["mask_sha256"]) == 64 and each["guide"] for each in attempts if each["kind"] == "attempt")
