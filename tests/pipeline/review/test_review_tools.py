"""Decisions made in other tools: imports are complete, exports are applied, and damage changes nothing."""

import csv
import json
import shutil
from xml.etree import ElementTree

import pytest

from review_runs import write_reviewable
from synaug.errors import DataError
from synaug.pipeline.review.review_tools import TOOLS, read_review_file, write_review_files
from synaug.run_directory import Run


@pytest.fixture(scope="module")
def made(photos, tmp_path_factory):
    return write_reviewable(tmp_path_factory.mktemp("tools") / "run", photos, target=12, rejected_every=2)


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


def decided(run):
    with open(run / "review" / "decisions.csv", newline="") as file:
        return {row["id"]: row["decision"] for row in csv.DictReader(file) if row["decision"]}


def ids(run):
    with open(run / "review" / "decisions.csv", newline="") as file:
        return [row["id"] for row in csv.DictReader(file)]


def label_studio(path, first, second):
    """Decide as a person does in Label Studio: the prediction stays, an annotation is added."""
    tasks = json.loads(path.read_text())

    def annotated(task, choice):
        result = task["predictions"][0]["result"][0] | {"value": {"choices": [choice]}}
        return task | {"annotations": [{"was_cancelled": False, "result": [result]}]}

    choices = {first: "reject", second: "accept"}
    named = [(task["data"]["synaug_id"], task) for task in tasks]
    return json.dumps([annotated(task, choices[name]) if name in choices else task for name, task in named])


def fiftyone(path, first, second):
    content = json.loads(path.read_text())
    for sample in content["samples"]:
        sample["filepath"] = f"/home/maria/{sample['filepath']}"
        sample["tags"] += {first: ["reject"], second: ["accept"]}.get(sample["synaug_id"], [])
    return json.dumps(content)


def cvat(path, first, second):
    tree = ElementTree.fromstring(path.read_text())
    for image in tree.iter("image"):
        name = next(a.text for a in image.iter("attribute") if a.get("name") == "synaug_id")
        if name in (first, second):
            ElementTree.SubElement(image, "tag", {"label": "reject" if name == first else "accept", "source": "manual"})
    return ElementTree.tostring(tree, encoding="unicode")


ROUND = {
    "label-studio": ("label-studio.json", label_studio),
    "fiftyone": ("fiftyone.json", fiftyone),
    "cvat": ("cvat.xml", cvat),
}


def test_there_is_a_round_for_every_tool():
    assert set(ROUND) == set(TOOLS)


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_decisions_made_in_a_tool_come_back_and_those_of_the_gates_do_not(run, tool, tmp_path, synaug):
    content = write_review_files(Run.open(run), tool)
    assert content["images"] == len(ids(run))
    first, second, *_ = (name for name in ids(run) if name.endswith("-1"))
    file, decide = ROUND[tool]
    export = tmp_path / f"export{(run / 'review' / file).suffix}"
    export.write_text(decide(run / "review" / file, first, second))
    done = synaug("review", run, "--from", export, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out) == {"accepted": 1, "rejected": 1, "unknown": 0, "changed": 2}
    assert decided(run) == {first: "reject", second: "accept"}
    assert json.loads(synaug("review", run, "--apply", "--json").out)["rejected"] == 1


@pytest.mark.parametrize("tool", sorted(TOOLS))
def test_every_file_contains_scores_and_the_decisions_of_the_gates(run, tool):
    write_review_files(Run.open(run), tool)
    text = (run / "review" / ROUND[tool][0]).read_text()
    assert text.count("score_off_class") == len(ids(run))
    assert text.count("reject") >= sum(name.endswith("-0") for name in ids(run)) // 2 > 0


def test_images_are_found_by_their_path_if_the_id_was_lost(run, tmp_path):
    write_review_files(Run.open(run), "cvat")
    tree = ElementTree.fromstring((run / "review" / "cvat.xml").read_text())
    image = next(iter(tree.iter("image")))
    image.set("name", f"somewhere/else/{image.get('name')}")
    for tag in list(image):
        image.remove(tag)
    ElementTree.SubElement(image, "tag", {"label": "reject"})
    (tmp_path / "export.xml").write_text(ElementTree.tostring(tree, encoding="unicode"))
    assert read_review_file(Run.open(run), tmp_path / "export.xml")["rejected"] == 1


def test_an_image_of_another_run_is_counted_and_changes_nothing(run, tmp_path):
    export = tmp_path / "export.json"
    export.write_text(json.dumps({"samples": [{"synaug_id": "bag-000000-00000000-0", "tags": ["reject"]}]}))
    assert read_review_file(Run.open(run), export) == {"accepted": 0, "rejected": 0, "unknown": 1, "changed": 0}
    assert decided(run) == {}


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[1]", "{}", '{"samples": 3}', "<annotations", '<!DOCTYPE a [<!ENTITY b "c">]><annotations/>',
        '[{"data": {}, "annotations": [{"result": [{"from_name": "decision"}]}]}]',
        '<annotations><image><tag label="reject"/></image></annotations>',
        '{"samples": [{"filepath": "x", "tags": ["accept", "reject"]}]}', "\x00", "[" * 100_000,
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_changes_nothing(run, tmp_path, text):
    export = tmp_path / "export"
    export.write_text(text)
    with pytest.raises(DataError):
        read_review_file(Run.open(run), export)
    assert decided(run) == {}


def test_an_unknown_tool_names_the_known_and_modes_exclude_each_other(synaug, run):
    done = synaug("review", run, "--to", "labelstudio")
    assert (done.code, "label-studio" in done.err) == (2, True)
    assert synaug("review", run, "--to", "cvat", "--apply").code == 2
    assert synaug("review", run, "--from", run / "nothing.json").code == 4
