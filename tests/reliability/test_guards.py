"""Each guard against an adversary, in place and removed: the attack fails, and succeeds once the guard is gone.

An attack returns whether the adversary won. It is a small form of what the other tests of this folder try with
commands; here it shows that one guard, and no accident, makes the difference.
"""

import csv
import inspect
import json
import os
import re

import numpy as np
import pytest
import yaml
from PIL import Image

from synaug import cli
from synaug.config import ApiOptions
from synaug.data.export import verify
from synaug.data.images import codec
from synaug.errors import SynaugError
from synaug.pipeline import measure_gap, run_results
from synaug.pipeline.choosing import cross_validate
from synaug.run_directory import RunPaths
from synaug.runtime import ownership, storage
from synaug.runtime.files import directories, inside, locks, names, removal
from synaug.runtime.records import forms, write_sealed
from synaug.runtime.security import check_code, escaping, own_code
from synaug.synthesis.execution import journal_records, review_decisions
from synaug.synthesis.generators.services import image_api
from synaug.synthesis.writing import chat_service

EVIL = "https://evil.example/v1"


def ignored(*_, **__):
    """Stand in for a check that raises an error."""


def out_is_a_folder_of_the_users(place):
    (place / "thesis.tex").write_text("mine")
    ownership.claim(place, "run")
    return (place / ownership.MARKER).exists()


def an_image_was_swapped(place):
    for name, gray in (("a", 0), ("b", 9)):
        Image.fromarray(np.full((8, 8), gray, np.uint8)).save(place / f"{name}.png")
    recorded = storage.file_digest(place / "a.png")
    os.replace(place / "b.png", place / "a.png")
    return codec.read_file(place / "a.png", sha256=recorded).getpixel((0, 0)) == 9


CHOICE = {
    "schema_version": 1, "chosen": "a", "best": None, "metric": "mean_recall", "judged_on": "folds", "num_images": 3,
    "candidates": [], "rival": None,
}  # fmt: skip


def a_choice_has_values_of_another_type(place):
    write_sealed(place / "choice.json", CHOICE | {"num_images": "3"})
    return run_results.read_choice(RunPaths(place))["num_images"] == "3"


def a_choice_was_changed(place):
    write_sealed(place / "choice.json", CHOICE)
    changed = json.loads((place / "choice.json").read_text()) | {"chosen": "b"}
    (place / "choice.json").write_text(json.dumps(changed))
    return run_results.read_choice(RunPaths(place))["chosen"] == "b"


def two_files_changed_places(place):
    write_sealed(place / "gap.json", {"images": "x"})
    write_sealed(place / "other.json", {"images": "y"})
    os.replace(place / "other.json", place / "gap.json")
    return measure_gap.read_gap(RunPaths(place))["images"] == "y"


def a_fold_was_changed(place):
    write_sealed(place / "fold.json", {"predictions": [[0]]})
    changed = json.loads((place / "fold.json").read_text()) | {"predictions": [[1]]}
    (place / "fold.json").write_text(json.dumps(changed))
    return cross_validate.read_fold(place / "fold.json", 1, 1).item() == 1


def a_recipe_sends_the_key_of_images(_):
    return image_api.load_service("api:m", ApiOptions(endpoint=EVIL, key_variable="HOME", price=0)) is not None


def a_recipe_sends_the_key_of_prompts(_):
    return chat_service.ChatWriter("m", ApiOptions(endpoint=EVIL, key_variable="HOME")) is not None


def a_pipe_is_read_as_a_file(place):
    os.mkfifo(place / "data.csv")
    return directories.read_bytes(place / "data.csv") == b""


def a_device_is_read_as_a_file(_):
    return directories.read_bytes(directories.Path("/dev/null")) == b""


RECORD = {
    "kind": "attempt", "id": "a", "cell": "c", "index": 0, "attempt": 0, "seed": journal_records.image_seed("a", 0),
    "scores": {}, "seconds": 1, "prompt": "", "sha256": "", "verdict": "accepted", "path": "../../home/a.png",
}  # fmt: skip


def a_journal_names_a_file_elsewhere(place):
    (found,) = journal_records.checked_records(iter([RECORD]), place, {"c": 1})
    return found["path"] == RECORD["path"]


def a_file_names_a_path_elsewhere(place):
    return str(inside("../x", where=place)) == "../x"


def a_journal_has_a_second_name(place):
    (place / "backup").write_text('{"n": 1}\n')
    os.link(place / "backup", place / "journal.jsonl")
    storage.append_records(place / "journal.jsonl", [{"n": 2}])
    return "2" in (place / "backup").read_text()


def decided(place, text):
    (place / "decisions.csv").write_text(text)
    return review_decisions.read_decisions(place / "decisions.csv")


def a_quote_swallows_decisions(place):
    return len(decided(place, 'id,decision,note\na,accept,"well\nb,reject,\nc,reject,\n')) == 1


def a_decision_is_misspelled(place):
    return decided(place, "id,decision,note\na,rejct,\n")[0].decision == "rejct"


def an_error_sets_the_title_of_the_terminal(place, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["synaug", "count", str(place / "\x1b]0;title\x07")])
    with pytest.raises(SystemExit):
        cli.main()
    return "\x1b]" in capsys.readouterr().err


def a_recipe_runs_code(place):
    (place / "net.py").write_text("")
    check_code([f"{place}/net.py:Net"], "network")
    return True


def an_export_loads_files_from_elsewhere(place, monkeypatch):
    datasets = pytest.importorskip("datasets")
    asked = []
    monkeypatch.setattr(datasets, "load_dataset", lambda *given, **_: asked.append(given))
    head = {"configs": [{"data_files": [{"split": "train", "path": "hf://datasets/a/b/*"}]}]}
    (place / "README.md").write_text(f"---\n{yaml.safe_dump(head)}---\n")
    (place / "SHA256SUMS").write_text("")
    verify.verify_dataset(place)
    return bool(asked)


def a_name_without_our_token_is_cleaned_up(place):
    (place / ".thesis.incomplete").write_text("mine")
    storage.remove_temporary(place)
    return not (place / ".thesis.incomplete").exists()


def a_lock_file_is_somebody_elses(place):
    (place / ".run.lock").write_text("mine")
    with storage.lock(place):
        pass
    return (place / ".run.lock").read_text() != "mine"


def lenient_rows(lines, **_):
    return enumerate(csv.reader(lines), 1)


def plainly(path, **_):
    return {key: value for key, value in json.loads(path.read_text()).items() if key != "seal"}


GUARDS = [
    (out_is_a_folder_of_the_users, ownership, "check_free", ignored),
    (an_image_was_swapped, codec, "is_recorded", lambda *_: True),
    (a_choice_has_values_of_another_type, forms, "of_form", lambda content, *_, **__: content),
    (a_choice_was_changed, forms, "read_sealed", plainly),
    (two_files_changed_places, forms, "read_sealed", plainly),
    (a_fold_was_changed, cross_validate, "read_sealed", plainly),
    (a_recipe_sends_the_key_of_images, image_api, "check_trusted_host", ignored),
    (a_recipe_sends_the_key_of_prompts, chat_service, "check_trusted_host", ignored),
    (a_pipe_is_read_as_a_file, directories.stat, "S_ISREG", lambda _: True),
    (a_device_is_read_as_a_file, directories.stat, "S_ISREG", lambda _: True),
    (a_journal_names_a_file_elsewhere, journal_records, "revision_fault", lambda _: ""),
    (a_file_names_a_path_elsewhere, names, "component_fault", lambda _: None),
    (a_journal_has_a_second_name, storage, "copy_file", ignored),
    (a_quote_swallows_decisions, review_decisions, "csv_rows", lenient_rows),
    (a_decision_is_misspelled, review_decisions, "row_fault", lambda *_: ""),
    (an_error_sets_the_title_of_the_terminal, escaping, "_UNSAFE", re.compile("(?!)")),
    (a_recipe_runs_code, own_code, "check_trusted", ignored),
    (an_export_loads_files_from_elsewhere, verify, "remote_fault", lambda _: ""),
    (a_name_without_our_token_is_cleaned_up, removal, "is_token_name", lambda name, suffix="": name.endswith(suffix)),
    (a_lock_file_is_somebody_elses, locks, "_check_ours", ignored),
]


def wins(attack, place, request):
    given = {
        name: request.getfixturevalue(name)
        for name in ("capsys", "monkeypatch")
        if name in inspect.signature(attack).parameters
    }
    place.mkdir()
    try:
        return attack(place, **given)
    except SynaugError:
        return False


@pytest.mark.parametrize(("attack", "module", "guard", "removed"), GUARDS, ids=[row[0].__name__ for row in GUARDS])
def test_the_guard_and_nothing_else_stops_the_attack(tmp_path, request, monkeypatch, attack, module, guard, removed):
    assert not wins(attack, tmp_path / "guarded", request)
    monkeypatch.setattr(module, guard, removed)
    assert wins(attack, tmp_path / "unguarded", request)
