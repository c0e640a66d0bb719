import pytest

from synaug.config import Recipe
from synaug.errors import DataError, OptionError
from synaug.recipes import make_recipe, read_recipe, with_overrides, with_settings


def test_an_empty_recipe_is_the_default():
    assert make_recipe({}) == Recipe()


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("train.stage1.batch_size", 1, "a whole number of at least 2, got 1"),
        ("data.test_fraction", 1.0, "a number above 0 and below 1, got 1.0"),
        ("generate.strength", 0, "a number above 0 and at most 1, got 0"),
        ("generate.size", 100, "a whole number from 8 to 8,192 that is a multiple of 8, got 100"),
        ("cross_validate.folds", 99, "a whole number from 0 to 50, or 'auto', got 99"),
        ("train.pretrained", "yep", "true or false, or 'auto', got 'yep'"),
        ("train.mean", ["a"], "a number, got 'a'"),
        ("quality.gates", "broken", "a list such as [a, b], got 'broken'"),
        ("plan.aliases", ["cat"], "names with values such as {name: value}, got ['cat']"),
        ("plan.target", {"cat": "x"}, "a number, or 'uniform', 'auto' or 'none', or names with values"),
        ("plan", 3, "a section with options such as by, got 3"),
        ("api.key_variable", "a b", "text of the form ^[A-Za-z_]"),
        ("data.splits.part2", "tset", "'train', 'validation', 'test' or 'none', got 'tset'. Did you mean 'test'?"),
        ("methods.mine.stage1.batch_size", 0, "a whole number of at least 2, got 0"),
    ],
)
def test_a_value_that_is_not_allowed_is_an_error_with_the_allowed_values(option, value, allowed):
    content = value
    for name in reversed(option.split(".")):
        content = {name: content}
    with pytest.raises(OptionError) as raised:
        make_recipe(content)
    place = f"{option}.0" if option == "train.mean" else option
    assert f"recipe: {place} must be {allowed}" in str(raised.value)
    assert str(raised.value).count(" must be ") == 1


@pytest.mark.parametrize("target", [0, -1, 2.5, float("nan"), float("inf"), 1e300, "unifrom"])
def test_a_target_must_be_uniform_or_positive(target):
    with pytest.raises(OptionError, match=r"plan.target:.*'uniform',.*[^.]*\(got "):
        make_recipe({"plan": {"target": target}})


def test_options_of_the_command_line_override_those_of_the_file():
    recipe = make_recipe({"plan": {"model": "a", "seed": 3}})
    changed = with_overrides(recipe, {"plan.model": "b", "plan.target": None})
    assert (changed.plan.model, changed.plan.seed, changed.plan.target) == ("b", 3, "uniform")


def test_a_file_is_read(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text("name: mine\nplan: {by: group, target: 0.5}\n")
    recipe = read_recipe(path)
    assert (recipe.name, recipe.plan.by, recipe.plan.target) == ("mine", "group", 0.5)


@pytest.mark.parametrize("text", ["a: [", "- 1", "!!python/object/apply:os.system ['true']"])
def test_an_invalid_recipe_is_an_error_that_names_the_file(tmp_path, text):
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


def test_a_later_setting_overrides_an_earlier_one():
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
