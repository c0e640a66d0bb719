"""Test that ``report.json`` and recipes match the schemas that ``synaug schema`` prints."""

import copy
import json

import pytest
import yaml
from pydantic import ValidationError

from synaug.runtime import storage
from synaug.runtime.embedded import demo_recipe
from synaug.schemas.report_file import ADAPTER


def test_the_report_of_a_run_has_the_form(finished):
    content = storage.read_json(finished / "report.json")
    report = ADAPTER.validate_python(content)
    assert report == ADAPTER.validate_json(json.dumps(content))
    assert report["data"]["num_images"] == sum(report["data"]["class_counts"].values())
    assert report["synthesis"]["requested"] == sum(report["plan"]["num_to_generate"].values())
    assert {result["method"] for result in report["results"]} == set(report["training"]["methods"])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("results", 0, "accuracy"), 83.6),  # percent instead of a fraction
        (("data", "class_counts"), [1, 2]),
        (("schema_version",), 2),
        (("synthesis", "requested"), -1),
        (("plan", "by"), "label"),
    ],
)
def test_another_form_is_refused(finished, place, value):
    content = copy.deepcopy(storage.read_json(finished / "report.json"))
    part = content
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(content)


def test_the_schema_of_a_report_lists_what_scripts_rely_on(synaug):
    schema = json.loads(synaug("schema", "report").out)
    assert {"schema_version", "data", "plan", "synthesis", "results"} <= set(schema["required"])
    assert schema["$defs"]["Result"]["properties"]["accuracy"]["anyOf"][0]["maximum"] == 1


def test_the_schema_of_a_recipe_has_every_section_of_the_demos_recipe(synaug):
    schema = json.loads(synaug("schema", "recipe").out)
    sections = set(yaml.safe_load(demo_recipe().read_text())) - {"bench"}
    assert sections <= set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_an_unknown_file_names_the_known_ones(synaug):
    done = synaug("schema", "plan")
    assert done.code == 2
    assert "recipe" in done.err
