import pytest

from synaug.config import Recipe
from synaug.errors import DataError, OptionError
from synaug.recipes import make_recipe, read_recipe, with_overrides


def test_an_empty_recipe_is_the_default():
    assert make_recipe({}) == Recipe()


def test_a_misspelt_option_names_the_nearest():
    with pytest.raises(OptionError, match=r"Unknown option 'plan.targt'. Did you mean 'plan.target'\?"):
        make_recipe({"plan": {"targt": 1}})


def test_a_misspelt_section_names_the_nearest():
    with pytest.raises(OptionError, match=r"Unknown option 'pln'. Did you mean 'plan'\?"):
        make_recipe({"pln": {}})


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
