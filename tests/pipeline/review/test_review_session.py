"""Decisions of a review session: saved before they count, undone step by step, never two images in one place."""

import csv
import io
import shutil

import pytest
from PIL import Image

from review_runs import write_reviewable
from synaug.errors import ChangedFileError, DataError, OptionError
from synaug.pipeline.review import review as review_stage
from synaug.pipeline.review.review_session import MAX_NOTE, ReviewSession
from synaug.run_directory import Run


@pytest.fixture(scope="module")
def made(photos, tmp_path_factory):
    return write_reviewable(tmp_path_factory.mktemp("reviewable") / "run", photos, target=24)


@pytest.fixture
def run(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


def table(run):
    with open(run / "review" / "decisions.csv", newline="") as file:
        return {row["id"]: row["decision"] for row in csv.DictReader(file)}


def decided(run):
    return {name: decision for name, decision in table(run).items() if decision}


def names(session, *, accepted):
    return [item[0] for item in session.catalog()["items"] if item[2] is accepted]


def accept(*ids):
    return {"do": "accept", "ids": list(ids)}


def reject(*ids):
    return {"do": "reject", "ids": list(ids)}


UNDO = {"do": "undo"}


def test_the_catalog_has_every_image_and_the_table_a_row_for_each(run):
    session = ReviewSession(Run.open(run))
    catalog = session.catalog()
    assert len(catalog["items"]) == len(table(run)) == len({item[0] for item in catalog["items"]})
    assert {item[3] for item in catalog["items"]} == {"", "off_class"}
    assert catalog["scores"] == ["off_class"]
    assert all(each["real"] for each in catalog["classes"])


def test_per_class_bounds_the_accepted_images(run):
    session = ReviewSession(Run.open(run), per_class=2)
    assert len(names(session, accepted=True)) == 2 * 3
    assert names(session, accepted=False)


def test_each_action_is_in_the_table_when_it_returns(run):
    session = ReviewSession(Run.open(run))
    first, second, *_ = names(session, accepted=True)
    session.perform([reject(first)])
    assert decided(run) == {first: "reject"}
    session.perform([accept(second), {"do": "clear", "ids": [first]}])
    assert decided(run) == {second: "accept"}


def test_undo_reverts_one_action_at_a_time_however_many_images_it_changed(run):
    session = ReviewSession(Run.open(run))
    chosen = names(session, accepted=True)[:4]
    session.perform([reject(chosen[0]), reject(*chosen)])
    assert len(decided(run)) == 4
    assert session.perform([UNDO])["undo"] == 1
    assert decided(run) == {chosen[0]: "reject"}
    session.perform([UNDO, UNDO])
    assert decided(run) == {}


def test_accepting_a_rejected_image_rejects_the_one_that_took_its_place(run):
    session = ReviewSession(Run.open(run))
    first = names(session, accepted=False)[0]
    other = f"{first.rpartition('-')[0]}-1"
    assert session.perform([accept(first)])["changed"] == {first: ("accept", ""), other: ("reject", "")}
    session.perform([{"do": "clear", "ids": [other]}])
    assert decided(run) == {}
    session.perform([UNDO])
    assert decided(run) == {first: "accept", other: "reject"}
    review_stage.apply(Run.open(run))
    assert session.catalog()["decisions"][first] == ("accept", "")
    assert first in names(session, accepted=True)


def test_edits_of_the_table_by_another_program_are_kept(run):
    session = ReviewSession(Run.open(run))
    first, second, third, *_ = names(session, accepted=True)
    path = run / "review" / "decisions.csv"
    path.write_text(path.read_text().replace(f"{first},,", f"{first},reject,blurred"))
    session.perform([reject(second)])
    assert decided(run) == {first: "reject", second: "reject"}
    assert "blurred" in path.read_text()
    before = path.read_text()
    path.write_text(before.replace(f"{third},,", f"{third},maybe,"))
    with pytest.raises(DataError, match="maybe"):
        session.perform([accept(first)])
    path.write_text(before)
    session.perform([accept(first)])
    assert decided(run) == {first: "accept", second: "reject"}


def test_a_new_session_resumes_from_the_table(run):
    session = ReviewSession(Run.open(run))
    chosen = names(session, accepted=True)[3]
    session.perform([reject(chosen), {"do": "note", "ids": [chosen], "note": 'two\nheads, "=1+1"'}])
    assert ReviewSession(Run.open(run)).catalog()["decisions"] == {chosen: ("reject", 'two heads, "=1+1"')}


@pytest.mark.parametrize(
    "action",
    [
        {"do": "delete", "ids": ["x"]}, {"do": "accept"}, {"do": "accept", "ids": []}, {"do": "accept", "ids": "x"},
        {"do": "accept", "ids": ["../../etc/passwd"]}, {"do": "accept", "ids": [[]]}, "undo", {}, None,
    ],
)  # fmt: skip
def test_an_invalid_action_changes_nothing_nor_do_the_actions_beside_it(run, action):
    session = ReviewSession(Run.open(run))
    good = names(session, accepted=True)[0]
    with pytest.raises(OptionError):
        session.perform([reject(good), action])
    assert decided(run) == {}
    assert session.catalog()["undo"] == 0


def test_a_note_is_short_and_cannot_hide_a_row(run):
    session = ReviewSession(Run.open(run))
    first, second, *_ = names(session, accepted=True)
    with pytest.raises(OptionError):
        session.perform([{"do": "note", "ids": [first], "note": "x" * (MAX_NOTE + 1)}])
    assert session.perform([{"do": "note", "ids": [first], "note": f"{second},reject"}])["refused"]
    assert ReviewSession(Run.open(run)).catalog()["decisions"] == {}


def test_pictures_are_encoded_anew_and_a_changed_file_is_not_shown(run):
    session = ReviewSession(Run.open(run))
    name = names(session, accepted=True)[0]
    kind, data = session.picture(name)
    assert (kind, Image.open(io.BytesIO(data)).size) == ("image/png", (16, 16))
    next((run / "synthetic").rglob(f"{name.rpartition('-')[0]}.png")).write_bytes(b"<script>")
    with pytest.raises(ChangedFileError):
        session.picture(name)


def test_only_real_images_of_the_catalog_are_shown(run):
    session = ReviewSession(Run.open(run))
    rows = {row for each in session.catalog()["classes"] for row in each["real"]}
    assert session.real_picture(min(rows))[0] == "image/png"
    with pytest.raises(KeyError):
        session.real_picture(-1)


def test_a_run_without_images_names_the_command_that_makes_them(run):
    shutil.rmtree(run / "journal")
    with pytest.raises(DataError, match="synaug generate"):
        ReviewSession(Run.open(run))
