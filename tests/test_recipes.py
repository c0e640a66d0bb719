"""Test the recipes of the real data sets: loaded, planned, and run at tiny settings on data of the same format."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from synaug.bench import experiment_names, read_experiment, run_bench
from synaug.bench.experiments import PHOTOS, data_of, recipe_of
from synaug.bench.grid import cells
from synaug.config import EMBEDDED, STABLE_DIFFUSION, Recipe
from synaug.data.benchmarks.cifar import CIFAR10, CIFAR100
from synaug.methods import DEFAULT_METHODS, check_methods, retrain_options
from synaug.pipeline import prepare as plan_stage
from synaug.recipes import read_recipe, with_overrides
from synaug.runtime.embedded import ASSETS, demo_recipe
from synaug.synthesis.planning.slots import slots

FOLDER = Path(__file__).parents[1] / "recipes"
RECIPES = sorted(FOLDER.glob("*.yaml"))
CIFAR_CLASSES = {
    "cifar10_lt": (CIFAR10, "airplane automobile bird cat deer dog frog horse ship truck"),
    "cifar100_lt": (
        CIFAR100,
        "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can "
        "castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin "
        "elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster "
        "man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck "
        "pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk "
        "skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger "
        "tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm",
    ),
}
TOKENS = 77
TINY = {
    "data.partial": True,
    "data.max_unreadable": 0.1,
    "plan.cap": 2,
    "generate.steps": 1,
    "generate.guidance": 1.0,
    "quality.gates": ["broken"],
    "train.network": "resnet8",
    "train.pretrained": False,
    "train.image_size": 32,
    "train.stage1.steps": 2,
    "train.stage1.batch_size": 8,
}


@pytest.fixture
def source(request, cifar_archive):
    """Return the small data for trying a recipe."""

    def make(name):
        if name.startswith("cifar"):
            known, names = CIFAR_CLASSES[name]
            return cifar_archive(known, names=names.split(), per_class=10)
        made = request.getfixturevalue({"imagenet100_lt": "imagenet100"}.get(name, name))
        return made() if name == "waterbirds" else made

    return make


@pytest.fixture
def wide_model(tmp_path):
    """The embedded model with the prompt length of Stable Diffusion, since the recipes' prompts need over 20 tokens."""
    folder = shutil.copytree(ASSETS / "tiny-diffusion", tmp_path / "wide-diffusion")
    positions = "embeddings.position_embedding.weight"
    path = folder / "text_encoder" / "model.safetensors"
    tensors = load_file(path)
    (name,) = (name for name in tensors if name.endswith(positions))
    known = tensors[name]
    tensors[name] = torch.cat([known, known[-1:].expand(TOKENS - len(known), -1)]).contiguous()
    save_file(tensors, path, metadata={"format": "pt"})
    for file, key in (
        ("text_encoder/config.json", "max_position_embeddings"),
        ("tokenizer/tokenizer_config.json", "model_max_length"),
    ):
        settings = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps(settings | {key: TOKENS}))
    return str(folder)


def tiny(path, data, tmp_path, *, model="embedded"):
    """Return the recipe at tiny settings: the smaller grid, networks of one size."""
    recipe = read_recipe(path)
    tail = {"data.imbalance_factor": 10} if recipe.data.imbalance_factor else {}
    recipe = with_overrides(recipe, TINY | tail | {"plan.model": model})
    methods = {
        name: own.model_copy(update={"network": "resnet8"} if own.network else {})
        for name, own in recipe.methods.items()
    }
    recipe = recipe.model_copy(update={"methods": methods})
    content = recipe.model_dump(mode="json", exclude_unset=False)
    content["bench"]["quick_options"] = {}
    small = tmp_path / path.name
    small.write_text(yaml.safe_dump(content, sort_keys=False))
    return read_experiment(str(small), data=data, quick=True)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_names_its_data_the_usual_model_and_only_existing_names(path, tmp_path):
    chosen = read_experiment(str(path), data=tmp_path)
    assert chosen.recipe.data.benchmark == chosen.recipe.name == path.stem
    assert chosen.recipe.plan.model == STABLE_DIFFUSION
    for cell in cells(chosen, tmp_path, [0]):
        plan_stage.check_recipe(cell.recipe)
        check_methods(chosen.arms[cell.arm].methods, cell.recipe)


def meaning_of_synaug(recipe):
    options = retrain_options("synaug", recipe)
    return options.data if options.data != "evened_out" or recipe.data.attribute else "auto"


def test_synaug_means_the_same_in_every_recipe_and_experiment():
    """Balanced set, or group-balanced real images if an attribute is known: ``auto``."""
    recipes = [read_recipe(path) for path in RECIPES]
    recipes += [read_experiment(name).recipe for name in experiment_names() if name not in (PHOTOS, "replacement")]
    assert {meaning_of_synaug(recipe) for recipe in recipes} == {"auto"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_row_of_a_recipe_takes_as_many_steps_in_each_arm(path, tmp_path):
    """With epochs, arms of different size would take different numbers of steps."""
    recipe = read_recipe(path)
    by_group = any(arm.options.get("plan.by") == "group" for arm in recipe.bench.arms.values())
    assert recipe.train.stage1.steps is not None or not by_group


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_planned_in_each_of_its_arms(path, source, tmp_path):
    small = tiny(path, source(path.stem), tmp_path)
    for arm in read_experiment(str(tmp_path / path.name), data=small.source).arms.values():
        recipe = recipe_of(small, arm, 0)
        if (recipe.data.imbalance_factor or 0) > 10:  # 10 images per class cannot have a longer tail
            recipe = with_overrides(recipe, {"data.imbalance_factor": 10})
        manifest = plan_stage.load_data(small.source, recipe)
        plan = plan_stage.drafted_plan(manifest, recipe)
        is_even = len({cell.have for cell in plan.cells}) == 1
        assert (plan.num_to_generate == 0) == (recipe.plan.cap == 0 or is_even)
        prompts = {slot.prompt for slot in slots(plan)}
        assert not any("{" in prompt or "_" in prompt for prompt in prompts)


def test_the_prompts_of_waterbirds_name_bird_and_background(source, tmp_path):
    small = tiny(FOLDER / "waterbirds.yaml", source("waterbirds"), tmp_path)
    recipe = recipe_of(small, small.arms["groups"], 0)
    plan = plan_stage.drafted_plan(data_of(small, small.arms["groups"], recipe), recipe)
    prompts = " ".join(slot.prompt for slot in slots(plan))
    assert "warbler on a lake" in prompts or "wren on a lake" in prompts
    assert "gull in a bamboo forest" in prompts or "albatross in a bamboo forest" in prompts
    assert not any(word in prompts for word in ("seabird", "forest bird", "landbird", "waterbird"))


def test_a_recipe_is_run(source, wide_model, tmp_path):
    check_run("waterbirds", source, tmp_path, wide_model)


@pytest.mark.long
@pytest.mark.parametrize("stem", ["cifar10_lt", "cifar100_lt", "imagenet100_lt", "utkface"])
def test_the_other_recipes_are_run(stem, source, wide_model, tmp_path):
    check_run(stem, source, tmp_path, wide_model)


def check_run(stem, source, tmp_path, model):
    small = tiny(FOLDER / f"{stem}.yaml", source(stem), tmp_path, model=model)
    content = run_bench(small, tmp_path / "out", seeds=[0])
    rows = [row["method"] for row in content["table"]]
    assert rows == [name for arm in small.arms.values() for name in arm.methods]
    assert all(isinstance(result["accuracy"], float) for result in content["results"])
    if stem == "waterbirds":
        assert all("train_weighted_accuracy" in result for result in content["results"])


def test_the_demo_differs_from_the_defaults_only_in_size():
    demo, usual = read_recipe(demo_recipe()), Recipe()
    size = {"network": "resnet8"}
    steps = {"steps": 400, "learning_rate": 0.3, "weight_decay": 0.002}  # so few steps need larger ones
    assert demo.train == usual.train.model_copy(update=size | {"stage1": usual.train.stage1.model_copy(update=steps)})
    assert demo.plan == usual.plan.model_copy(update={"model": EMBEDDED})
    assert [demo.generate, demo.quality, demo.choose] == [usual.generate, usual.quality, usual.choose]
    assert not demo.methods.keys() & set(DEFAULT_METHODS)
