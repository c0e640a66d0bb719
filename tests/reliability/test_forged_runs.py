"""Test run directories whose files were edited and sealed again: an error with the file's name, no traceback.

The seal shows accidental damage only; somebody who wants to can write a valid one, together with any value.
"""

import json
import random
import shutil

import pytest

from reliability.test_damaged_runs import ALLOWED, base, call, cheap_commands, commands  # noqa: F401
from synaug.errors import DataError
from synaug.pipeline.run_results import read_choice
from synaug.run_directory import RunPaths
from synaug.runtime import storage
from synaug.runtime.records import of_form, write_sealed
from synaug.schemas import Choice

VALUES = (None, -1, 10**30, 1.5, "x", "../../x", "/etc/passwd", [], {}, True, [1, 2], "\x1b]0;PWNED\x07", {"a": 1})
FILES = {
    "synaug.lock.json": ("status", "generate"),
    "plan.json": ("status", "generate"),
    "checkpoints/cross_entropy-0/result.json": ("report", "predict"),
    "choice.json": ("report", "export_classifier"),
    "gap.json": ("report",),
    "report.json": ("export", "export_classifier"),
    "journal/worker-0-of-1.jsonl": ("status", "export"),
}


def places(value, place=()):
    """Yield the keys that lead to each value inside a JSON document; of a list, only the first two entries."""
    if place and place[-1] != "seal":
        yield place
    entries = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, entry in entries:
        yield from places(entry, (*place, key))


def forge(run, name, rng):
    """Replace or remove one value of a file, and record its new digest and seal. Returns what was done."""
    lines = (run / name).read_text().splitlines() if name.endswith("jsonl") else [(run / name).read_text()]
    documents = [json.loads(line) for line in lines]
    number = rng.randrange(len(documents))
    *above, last = rng.choice(list(places(documents[number])))
    inside = documents[number]
    for key in above:
        inside = inside[key]
    if rng.random() < 0.2:
        changed = f"without {'.'.join(map(str, (*above, last)))}"
        del inside[last]
    else:
        inside[last] = rng.choice(VALUES)
        changed = f"{'.'.join(map(str, (*above, last)))} = {inside[last]!r}"
    if name.endswith("jsonl"):
        (run / name).write_text("".join(json.dumps(document) + "\n" for document in documents))
    elif "seal" in documents[0]:
        write_sealed(run / name, documents[0])
    else:
        (run / name).write_text(json.dumps(documents[0]))
    if name == "plan.json":
        lock = storage.read_json(run / "synaug.lock.json")
        write_sealed(
            run / "synaug.lock.json", lock | {"files": lock["files"] | {name: storage.file_digest(run / name)}}
        )
    return f"{name}: {changed}"


def try_out(origin, work, numbers):
    faults = []
    for number in numbers:
        rng = random.Random(number)
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(origin, work)
        name = list(FILES)[number % len(FILES)]
        what = forge(work / "run", name, rng)
        for command in FILES[name]:
            code, said = call(*commands(work, work / "run")[command])
            if code not in ALLOWED or "Traceback" in said or "\x1b]" in said:
                faults.append(f"{number}, {what}: {command} ended with {code}: {said[-1500:]}")
    assert not faults, "\n".join(faults)


def test_forged_values_end_in_an_error_with_names(base, tmp_path):  # noqa: F811
    try_out(base, tmp_path / "work", range(14))


@pytest.mark.long
@pytest.mark.parametrize("part", range(14))
def test_a_thousand_forged_values(base, tmp_path, part):  # noqa: F811
    try_out(base, tmp_path / "work", range(70 * part, 70 * part + 70))


def test_a_changed_choice_is_noticed(base, tmp_path):  # noqa: F811
    """It decides which classifier the run hands over."""
    run = shutil.copytree(base / "run", tmp_path / "run")
    choice = storage.read_json(run / "choice.json")
    other = next(row["method"] for row in choice["candidates"] if row["method"] != choice["chosen"])
    storage.write_json(run / "choice.json", choice | {"chosen": other})
    with pytest.raises(DataError, match="changed since synaug wrote it"):
        read_choice(RunPaths(run))


@pytest.mark.parametrize("change", [{"num_images": "3"}, {"num_images": True}, {"candidates": {}}, {"best": 1}])
def test_a_form_is_strict(change):
    whole = {"chosen": "a", "best": None, "num_images": 3, "candidates": [], "of_a_later_version": 1}
    assert of_form(whole, Choice, where="choice.json", way_out="") is whole
    with pytest.raises(DataError, match=f"choice.json is damaged: {next(iter(change))}"):
        of_form(whole | change, Choice, where="choice.json", way_out="")


@pytest.mark.parametrize(
    "change",
    [
        {"modifier": {}}, {"negative_prompt": 1}, {"guides": [1]}, {"spread": {"a": 1}}, {"scores": {"a": "b"}},
        {"note": []}, {"prompt_source": {"a": 1}}, {"guide": True},
    ],
    ids=str,
)  # fmt: skip
def test_a_journal_record_with_a_value_of_another_type_is_named(base, tmp_path, change):  # noqa: F811
    run = shutil.copytree(base / "run", tmp_path / "run")
    path = run / "journal" / "worker-0-of-1.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text(
        "".join(json.dumps(each | change if each["kind"] == "attempt" else each) + "\n" for each in records)
    )
    code, said = call(*commands(tmp_path, run)["export"])
    assert (code, f"'{next(iter(change))}' is" in said) == (4, True), said


def test_the_description_of_a_generator_cannot_rename_its_images(base, tmp_path):  # noqa: F811
    run = shutil.copytree(base / "run", tmp_path / "run")
    path = run / "journal" / "worker-0-of-1.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for each in records:
        if each["kind"] == "run":
            each["about"] |= {"path": "/etc/passwd", "id": "x", "label": 7, "prompt_source": {}}
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    code, said = call(*commands(tmp_path, run)["export"])
    assert code == 0, said
    assert not [each for each in (tmp_path / "set").rglob("*.*") if b"/etc/passwd" in each.read_bytes()]
