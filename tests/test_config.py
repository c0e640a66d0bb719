import pytest

from synaug.config import Recipe
from synaug.errors import DataError, OptionError
from synaug.recipes import make_recipe, read_recipe, with_overrides, with_settings


def test_an_empty_recipe_is_the_default():
    assert make_recipe({}) == Recipe()


def test_a_value_out_of_range_says_what_came():
    with pytest.raises(OptionError, match=r"train.stage1.batch_size: .*greater than or equal to 2 \(got 1\)"):
        make_recipe({"train": {"stage1": {"batch_size": 1}}})


@pytest.mark.parametrize("target", [0, -1, 2.5, float("nan"), float("inf"), 1e300, "unifrom"])
def test_a_target_must_be_uniform_or_positive(target):
    with pytest.raises(OptionError, match=r"plan.target: target must be 'uniform', a whole number [^.]*\(got "):
        make_recipe({"plan": {"target": target}})


def test_options_of_the_command_line_go_before_those_of_the_file():
    recipe = make_recipe({"plan": {"model": "a", "seed": 3}})
    changed = with_overrides(recipe, {"plan.model": "b", "plan.target": None})
    assert (changed.plan.model, changed.plan.seed, changed.plan.target) == ("b", 3, "uniform")


def test_a_file_is_read(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("name: mine\nplan: {by: group, target: 0.5}\n")
    recipe = read_recipe(path)
    assert (recipe.name, recipe.plan.by, recipe.plan.target) == ("mine", "group", 0.5)


@pytest.mark.parametrize("text", ["a: [", "- 1", "!!python/object/apply:os.system ['true']"])
def test_what_is_no_recipe_is_an_error_that_names_the_file(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises((DataError, OptionError), match=r"recipe\.yaml"):
        read_recipe(path)


def test_a_missing_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_recipe(tmp_path / "none.yaml")


def test_an_unknown_option_of_a_method_named_like_a_field_is_named():
    with pytest.raises(OptionError, match=r"methods\.stage1\.plan"):
        make_recipe({"methods": {"stage1": {"plan": None}}})


# ---------------------------------------------------------------- --set


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("train.stage1.learning_rate=0.01", 0.01),
        ("train.stage1.learning_rate=1e-3", 1e-3),
        ("train.stage1.flip=no", False),
        ("train.stage1.augmentations=[cutout, randaugment]", ("cutout", "randaugment")),
        ("train.image_size=null", None),
        ("plan.negative_prompt=no", "no"),
        ("plan.negative_prompt=a=b: c", "a=b: c"),
        ("plan.template={class} on water", "{class} on water"),
        ("plan.target=0.5", 0.5),
        ("plan.aliases.mouse=computer mouse", "computer mouse"),
        ("methods.synaug.retrain.data=all_real", "all_real"),
        (" seed = 3 ", 3),
    ],
)
def test_a_setting_is_the_value_that_a_recipe_file_would_give(setting, value):
    found = with_settings(Recipe(), [setting]).model_dump()
    for part in setting.split("=")[0].strip().split("."):
        found = found[part]
    assert found == value


def test_a_later_setting_goes_before_an_earlier_one():
    assert with_settings(Recipe(), ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    "setting",
    [
        "seed",
        "=1",
        "seed=-1",
        "train.epochs=3",
        "train.stage1=5",
        "plan.by=color",
        "a.b.c=1",
        "methods.x.y=1",
        "plan.seed.x=1",
    ],
)
def test_a_setting_that_is_not_allowed_is_refused(setting):
    with pytest.raises(OptionError):
        with_settings(Recipe(), [setting])
