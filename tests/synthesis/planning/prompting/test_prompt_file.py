"""Prompts from a file: read strictly, drawn by seed and weight, part of the plan's digest, and shown before it runs."""

import json
from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synaug.config import GenerateOptions, PlanOptions
from synaug.data.images.codec import Encoding
from synaug.data.manifest import from_arrays
from synaug.errors import DataError, OptionError
from synaug.runtime import storage
from synaug.synthesis.planning.class_words import class_prompts
from synaug.synthesis.planning.plan_file import read_plan, spread_counts, write_plan
from synaug.synthesis.planning.planner import make_plan
from synaug.synthesis.planning.prompt_account import as_written, prompt_account, prompts_origin
from synaug.synthesis.planning.prompt_length import check_prompt_length
from synaug.synthesis.planning.prompting.prompt_file import prompts_text, read_prompts
from synaug.synthesis.planning.prompting.written_prompts import Author, WrittenPrompt, drawn
from synaug.synthesis.planning.slots import slots

CLASSES = ("cat", "dog")


def plan_of(written, counts=(2, 6), *, attributes=None, **options):
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    images = from_arrays(
        [np.zeros((4, 4), np.uint8)] * len(labels), labels, class_names=CLASSES,
        **({} if attributes is None else {"attributes": attributes, "attribute_names": ("m", "f")}),
    )  # fmt: skip
    return make_plan(
        images,
        options=PlanOptions(model="embedded", prompts="prompts.csv", **options),
        generate=GenerateOptions(),
        encoding=Encoding(mode="L"),
        image_size=(28, 28),
        written=written,
    )


def cats(number, **more):
    return [WrittenPrompt("cat", f"a cat, number {i}", **more) for i in range(number)]


@pytest.fixture
def read(tmp_path):
    def call(text, name="prompts.csv"):
        path = tmp_path / name
        path.write_text(text)
        return read_prompts(path)

    return call


def test_a_table_is_read_with_all_its_columns(read):
    text = "Class,Attribute,Prompt,Negative prompt,Weight,spread.background,model\n"
    text += 'cat,f,"a  cat, on land",blurry,2,on land,gpt\ncat,,a cat,,,,\n'
    first, second = read(text)
    assert first == WrittenPrompt(
        "cat", "a cat, on land", "f", "blurry", 2.0, (("background", "on land"),), Author("gpt")
    )
    assert second == WrittenPrompt("cat", "a cat")


def test_json_lines_and_tabs_are_read_alike(read):
    lines = '{"class": 0, "prompt": "a zero", "weight": 3}\n{"class": 1, "prompt": "a one"}\n'
    expected = (WrittenPrompt("0", "a zero", weight=3.0), WrittenPrompt("1", "a one"))
    assert read(lines, "p.jsonl") == expected
    assert read("class\tprompt\tweight\n0\ta zero\t3\n1\ta one\t\n", "p.tsv") == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class,promt\ncat,a cat\n", "no column 'prompt'"),
        ("class,prompt,wieght\ncat,a cat,1\n", "Did you mean 'weight'"),
        ("class,prompt\ncat,\n", "row 1: the prompt is empty"),
        ("class,prompt\n,a cat\n", "no value in 1 of 1"),
        ("class,prompt,weight\ncat,a cat,0\n", "row 1: weight"),
        ("class,prompt,weight\ncat,a cat,nan\n", "row 1: weight"),
        ("class,prompt,weight\ncat,a cat,inf\n", "row 1: weight"),
        ("class,prompt,weight\ncat,a cat,much\n", "row 1: weight must be a number"),
        ("class,prompt\ncat,a \x1b[2J cat\n", "row 1: prompt must be one line"),
        ("class,prompt,spread.a-b\ncat,a cat,x\n", "row 1: spread.a-b"),
        ("class,prompt,spread.class\ncat,a cat,x\n", "row 1: spread.class"),
        ("class,prompt,prompt\ncat,a cat,b\n", "twice"),
        ("class,prompt\n", "no rows"),
        (f"class,prompt\ncat,{'x' * 10_001}\n", "10,001 characters"),
    ],
)
def test_a_mistake_in_a_file_is_named(read, text, words):
    with pytest.raises(DataError, match=words.replace("[", r"\[")):
        read(text)


def test_a_number_as_a_prompt_and_an_unknown_suffix_are_refused(read):
    with pytest.raises(DataError, match="row 1: prompt must be text"):
        read('{"class": "cat", "prompt": 7}\n', "p.jsonl")
    with pytest.raises(OptionError, match=r"\.csv"):
        read("class,prompt\n", "p.txt")


ROWS = [
    WrittenPrompt("cat", "=a cat", "f", 'blurry, "soft"', 0.5, (("background", "on land"),)),
    WrittenPrompt("-dog", "a dog,\tbrown".replace("\t", " "), author=Author("org/model", "abc", "2026-01-01")),
]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_written_prompts_are_read_back(tmp_path, suffix):
    path = tmp_path / f"p{suffix}"
    path.write_text(prompts_text(ROWS, suffix))
    assert list(read_prompts(path)) == ROWS
    assert suffix == ".jsonl" or "\n=" not in path.read_text()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(0, 120), st.integers(0, 9))
def test_each_prompt_comes_in_proportion_to_its_weight(weights, number, seed):
    rows = [WrittenPrompt("cat", str(i), weight=weight) for i, weight in enumerate(weights)]
    counts = Counter(each.prompt for each in islice(drawn(rows, [seed]), number))
    for row in rows:
        assert abs(counts[row.prompt] - number * row.weight / sum(weights)) <= len(rows)


@given(st.integers(1, 12), st.integers(0, 30), st.integers(0, 9))
def test_no_prompt_comes_twice_before_all_came_once(prompts, number, seed):
    counts = Counter(each.prompt for each in islice(drawn(cats(prompts), [seed]), number))
    assert max(counts.values(), default=0) - min(counts.get(each.prompt, 0) for each in cats(prompts)) <= 1


@given(st.integers(1, 40), st.integers(0, 5))
def test_phrases_come_in_turn_whatever_the_number_of_images(number, seed):
    rows = [
        WrittenPrompt("cat", f"{age} {place} {i}", phrases=(("place", place), ("age", age)))
        for place in ("land", "water") for age in ("old", "young") for i in range(10)
    ]  # fmt: skip
    told = list(islice(drawn(rows, [seed]), number))
    for axis in range(2):
        counts = Counter(each.phrases[axis][1] for each in told)
        assert len(counts) == min(2, number)
        assert max(counts.values()) - min(counts.values()) <= 1 or number == 1


def test_the_seed_decides_the_order_and_the_number_of_images_does_not():
    def told(**options):
        return [slot.prompt for slot in slots(plan_of(cats(9), **options))]

    assert told(seed=1) != told(seed=2)
    assert told(seed=1) == told(seed=1)
    assert told(seed=1, target={"cat": 20})[:4] == told(seed=1)


def test_a_changed_file_is_a_changed_plan_and_its_place_is_not(tmp_path):
    plan = plan_of(cats(3))
    assert plan.digest != plan_of(cats(4)).digest
    assert plan.digest != plan_of(cats(3, weight=2.0)).digest
    assert plan.digest != plan_of(cats(3, negative_prompt="dark")).digest
    elsewhere = plan.options.model_copy(update={"prompts": "other/prompts.csv"})
    assert plan.digest == storage_round_trip(plan, tmp_path).digest
    assert plan.digest == type(plan)(**{**vars_of(plan), "options": elsewhere}).digest


def vars_of(plan):
    return {name: getattr(plan, name) for name in type(plan).__dataclass_fields__}


def storage_round_trip(plan, tmp_path):
    write_plan(plan, tmp_path / "plan.json")
    again = read_plan(tmp_path / "plan.json")
    assert [*slots(again)] == [*slots(plan)]
    return again


@pytest.mark.parametrize("change", [{"prompt": ""}, {"weight": 0}, {"class": "cow"}, {"prompt": 7}, {"spread": ["a"]}])
def test_a_damaged_plan_file_is_refused(tmp_path, change):
    write_plan(plan_of(cats(3)), tmp_path / "plan.json")
    content = storage.read_json(tmp_path / "plan.json")
    content["written_prompts"][0] |= change
    (tmp_path / "plan.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"plan\.json"):
        read_plan(tmp_path / "plan.json")


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        (cats(1), {"counts": (6, 2)}, "no prompt for 'dog'"),
        ([WrittenPrompt("cta", "a cat")], {}, "Did you mean 'cat'"),
        (cats(1), {"template": "a {class}"}, "plan.template has no effect"),
        (cats(1), {"spread": {"background": ("on land",)}}, "plan.spread has no effect"),
        ([*cats(1), WrittenPrompt("dog", "A CAT, number 0")], {}, "'cat' and 'dog' have the same prompt"),
    ],
)
def test_prompts_that_a_plan_cannot_use_are_refused(rows, options, words):
    with pytest.raises(OptionError, match=words):
        plan_of(rows, **options)


def test_a_group_has_its_own_prompts_and_those_of_its_class():
    rows = [WrittenPrompt("cat", "a cat"), WrittenPrompt("cat", "a male cat", "m"), WrittenPrompt("dog", "a dog")]
    plan = plan_of(rows, attributes=[0, 1, 0, 0, 0, 1, 1, 1], by="group")
    told = {cell.name: {slot.prompt for slot in slots(plan) if slot.cell == cell} for cell in plan.cells}
    assert told == {"cat | m": {"a cat", "a male cat"}, "cat | f": {"a cat"}, "dog | m": set(), "dog | f": set()}
    with pytest.raises(OptionError, match="Did you mean"):
        plan_of([*rows, WrittenPrompt("cat", "x", "mm")], attributes=[0, 1, 0, 0, 0, 1, 1, 1], by="group")


def test_attributes_of_the_file_come_in_turn_if_the_plan_is_by_class():
    rows = [WrittenPrompt("cat", f"a cat {i}", "mf"[i % 2]) for i in range(8)]
    plan = plan_of(rows)
    assert spread_counts(plan) == {"cat": {"spread": {"attribute": {"m": 2, "f": 2}}}}


def test_who_wrote_a_prompt_changes_no_image_and_is_kept(tmp_path):
    plain, written = cats(4), cats(4, author=Author("org/model", "abc", "2026-01-01"))
    assert plan_of(plain).digest == plan_of(written).digest
    write_plan(plan_of(written), tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json").written == tuple(written)
    origin = {"prompt_source": "file", "prompt_file": "prompts.csv"}
    by_model = {"prompt_model": "org/model", "prompt_revision": "abc", "prompt_date": "2026-01-01"}
    assert dict(next(iter(slots(plan_of(plain)))).origin) == origin
    assert dict(next(iter(slots(plan_of(written)))).origin) == origin | by_model
    assert prompts_origin(plan_of([*written[:3], *plain[3:]])) == "4 of prompts.csv, 3 by org/model abc 2026-01-01"


@pytest.mark.parametrize("author", [{"model": "a\nb"}, {"date": 2026}, {"revision": "x" * 20_000}])
def test_an_author_is_one_line_of_text(author):
    with pytest.raises(ValueError, match=next(iter(author))):
        Author(**author)


def test_long_and_equal_prompts_are_counted_and_a_lost_class_is_refused():
    rows = [*cats(2), WrittenPrompt("cat", "A cat, number 1"), WrittenPrompt("cat", "of what is " * 9 + "a cat at sea")]
    plan = plan_of(rows)
    account = prompt_account(plan, lambda text: text if len(text) < 40 else text[:9])["cat"]
    assert (account["prompts"], account["num_too_long"], account["num_equal"]) == (4, 1, 1)
    assert account["equal"] == ["a cat, number 1"]
    assert prompt_account(plan)["cat"]["too_long"] is None
    with pytest.raises(OptionError, match="'cat' of 'cat' would be cut"):
        check_prompt_length(plan, lambda text: text if len(text) < 40 else text[:9])


def test_classes_without_rows_use_the_template_if_all_classes_need_prompts():
    cat, dog = class_prompts(plan_of(cats(2)))
    assert len(cat) == 2
    assert "a photo of a dog" in dog


def test_the_built_in_prompts_can_be_written_and_used(tmp_path):
    plan = make_plan(
        from_arrays([np.zeros((4, 4), np.uint8)] * 8, [0] * 2 + [1] * 6, class_names=CLASSES),
        options=PlanOptions(model="embedded", spread={"background": ("on land", "on water")}, negative_prompt="dark"),
        generate=GenerateOptions(), encoding=Encoding(mode="L"), image_size=(28, 28),
    )  # fmt: skip
    rows = as_written(plan)
    assert {each.prompt for each in rows if each.class_name == "cat"} == set(class_prompts(plan)[0])
    assert {each.negative_prompt for each in rows} == {"dark"}
    again = plan_of(rows)
    assert spread_counts(again)["cat"]["spread"]["background"] == {"on land": 2, "on water": 2}


# ---------------------------------------------------------------- on the command line


@pytest.fixture
def prompts(photos, tmp_path):
    """A prompts file for the photos: class and prompt, one of them with a negative prompt."""
    path = tmp_path / "prompts.csv"
    rows = [
        f"{name},a {view} {name},{no}" for name in ("coat", "ankle boot") for view, no in (("red", "dark"), ("old", ""))
    ]
    path.write_text("\n".join(["class,prompt,negative_prompt", *rows]) + "\n")
    return path


def test_a_run_uses_the_file_and_refuses_a_changed_one(synaug, photos, prompts, tmp_path):
    recipe, out = tmp_path / "r.yaml", tmp_path / "run"
    recipe.write_text("generate: {steps: 1}\nquality: {gates: [broken]}\nplan: {model: embedded, target: 12}\n")
    command = ("plan", photos, "--prompts", prompts, "--recipe", recipe, "--out", out)
    planned = synaug(*command)
    assert planned.code == 0, planned.err
    assert "too long" in planned.out
    assert synaug("generate", out).code == 0
    lines = [json.loads(line) for line in next((out / "journal").glob("worker*")).read_text().splitlines()][1:]
    assert {line["prompt"] for line in lines} <= {"a red coat", "a old coat", "a red ankle boot", "a old ankle boot"}
    assert {line.get("negative_prompt") for line in lines} == {"dark", None}
    assert synaug(*command).code == 0
    before = (out / "plan.json").read_bytes()
    prompts.write_text(prompts.read_text().replace("a red coat", "a blue coat"))
    changed = synaug(*command)
    assert changed.code == 2
    assert "was changed" in changed.err
    assert (out / "plan.json").read_bytes() == before
    assert json.loads(synaug("prompts", out, "--json").out)["coat"]["prompts"] == 2


def test_the_prompts_of_a_run_are_exported_once(synaug, photos, tmp_path):
    out, file = tmp_path / "run", tmp_path / "mine.csv"
    assert synaug("plan", photos, "--model", "embedded", "--out", out).code == 0
    done = synaug("prompts", out, "--export", "--out", file)
    assert done.code == 0, done.err
    text = file.read_text()
    assert synaug("prompts", out, "--export", "--out", file).code == 2
    assert file.read_text() == text
    again = synaug("plan", photos, "--model", "embedded", "--prompts", file, "--dry-run", "--json")
    counts = json.loads(again.out)["prompt_counts"]
    assert counts["coat"]["prompts"] == 21
    assert counts["coat"]["num_too_long"] == 0
