"""Test that manual review decisions are read from a table, stored, and applied."""

import pytest
from PIL import Image

from synaug.config import QualityOptions
from synaug.data.manifest import read_image
from synaug.errors import DataError
from synaug.runtime.storage import read_records
from synaug.synthesis.execution import review_decisions
from synaug.synthesis.execution.counts import synthesis_summary
from synaug.synthesis.execution.journal import read_tally, revised_path
from synaug.synthesis.execution.provenance import provenance, synthetic_manifest
from synaug.synthesis.execution.recheck import recheck
from synaug.synthesis.execution.worker import rejected_files, synthesize
from synaug.synthesis.planning.slots import slots
from synaug.synthesis.quality.gates import Verdict


def flat(prompts, *, seeds):
    """One gray image per prompt, with a brightness that follows from the seed."""
    return [Image.new("L", (12, 12), seed % 256) for seed in seeds]


def bright(candidates):
    return [Verdict(value < 128, None if value < 128 else "bright") for value in map(brightness, candidates)]


def brightness(candidate):
    return candidate.image.getpixel((0, 0))


@pytest.fixture
def folder(plan, tmp_path):
    synthesize(plan, flat, folder=tmp_path, gates=[bright])
    return tmp_path


def decide(plan, folder, rows):
    """Apply rows of id and decision, as a reviewer would write them."""
    path = review_decisions.decisions_path(folder)
    path.parent.mkdir(exist_ok=True)
    path.write_text("id,decision,note\n" + "".join(f"{name},{decision},seen\n" for name, decision in rows.items()))
    return review_decisions.apply_decisions(plan, folder, review_decisions.read_decisions(path))


def names(plan, folder, verdict):
    records = review_decisions.attempts(plan, folder, (slot.id for slot in slots(plan)))
    return [name for name, record in records.items() if record["verdict"] == verdict]


def never_accepted(plan, folder):
    """Return the name of a rejected image whose slot stayed empty."""
    used = {name.rpartition("-")[0] for name in names(plan, folder, "accepted")}
    return next(name for name in names(plan, folder, "rejected") if name.rpartition("-")[0] not in used)


def test_a_rejected_image_is_replaced_by_the_next_attempt(plan, folder):
    name = names(plan, folder, "accepted")[0]
    before = synthesis_summary(plan, folder)
    decide(plan, folder, {name: "reject"})
    assert synthesis_summary(plan, folder)["accepted"] == before["accepted"] - 1
    assert synthesis_summary(plan, folder)["rejected"]["review"] == 1
    assert [path.stem for path in rejected_files(folder)["review"]] == [name]
    synthesize(plan, flat, folder=folder, quality=QualityOptions(max_attempts=50), gates=[bright])
    slot, _, attempt = name.rpartition("-")
    (made,) = (row for row in provenance(plan, folder).to_dict("records") if row["id"] == slot)
    assert made["attempt"] > int(attempt)
    assert (
        review_decisions.pending(plan, folder, review_decisions.read_decisions(review_decisions.decisions_path(folder)))
        == []
    )


def test_a_rejection_by_a_person_does_not_use_up_the_attempts(plan, tmp_path):
    once = QualityOptions(max_attempts=1)
    synthesize(plan, flat, folder=tmp_path, quality=once)
    rejected = names(plan, tmp_path, "accepted")[:3]
    decide(plan, tmp_path, dict.fromkeys(rejected, "reject"))
    result = synthesize(plan, flat, folder=tmp_path, quality=once)
    assert (result.missing, result.rejected) == (0, {"review": 3})


def test_an_accepted_image_counts_whatever_the_gate_decided(plan, tmp_path):
    synthesize(plan, flat, folder=tmp_path, gates=[bright], quality=QualityOptions(max_attempts=1))
    name = never_accepted(plan, tmp_path)
    before = synthesis_summary(plan, tmp_path)
    decide(plan, tmp_path, {name: "accept"})
    after = synthesis_summary(plan, tmp_path)
    assert after["accepted"] == before["accepted"] + 1
    assert after["rejected"]["bright"] == before["rejected"]["bright"] - 1
    assert read_tally(plan, tmp_path).review == {"accepted": 1, "rejected": 0, "overruled": {"bright": 1}}
    made = synthetic_manifest(plan, tmp_path)
    row = list(made.frame["id"]).index(name.rpartition("-")[0])
    assert read_image(made, row).getpixel((0, 0)) >= 128
    assert name not in {path.stem for paths in rejected_files(tmp_path).values() for path in paths}
    assert list(recheck(plan, tmp_path, [bright])) == []
    assert provenance(plan, tmp_path)["reviewed"].tolist().count("accept") == 1


def test_a_decision_can_be_undone(plan, folder):
    name = names(plan, folder, "accepted")[0]
    before = synthetic_manifest(plan, folder).frame
    decide(plan, folder, {name: "reject"})
    decide(plan, folder, {name: "accept"})
    assert synthetic_manifest(plan, folder).frame.equals(before)
    assert len(list(recheck(plan, folder, []))) == 0
    assert read_tally(plan, folder).review == {"accepted": 1, "rejected": 0, "overruled": {}}


def test_the_same_table_again_changes_nothing(plan, folder):
    rows = {names(plan, folder, "accepted")[0]: "reject", names(plan, folder, "accepted")[1]: "accept"}
    assert len(decide(plan, folder, rows)) == 2
    lines = list(read_records(revised_path(folder)))
    assert decide(plan, folder, rows) == []
    assert list(read_records(revised_path(folder))) == lines


def test_images_rejected_by_a_gate_need_no_second_rejection(plan, folder):
    assert decide(plan, folder, {names(plan, folder, "rejected")[0]: "reject"}) == []


def test_one_image_may_take_the_place_of_another_that_is_rejected(plan, folder):
    slot = next(n for n in names(plan, folder, "rejected") if f"{n[:-1]}1" in names(plan, folder, "accepted"))[:-2]
    with pytest.raises(DataError, match=rf"line 2:.*{slot}-0.*{slot}-1;"):
        decide(plan, folder, {f"{slot}-0": "accept"})
    decide(plan, folder, {f"{slot}-0": "accept", f"{slot}-1": "reject"})
    made = provenance(plan, folder).set_index("id")
    assert made.loc[slot, "attempt"] == 0
    assert len(list(recheck(plan, folder, []))) == 0


@pytest.mark.parametrize("moment", ["append_records", "remove_file"])
def test_an_interrupted_apply_is_resumed(plan, folder, monkeypatch, moment):
    slot = next(n for n in names(plan, folder, "rejected") if f"{n[:-1]}1" in names(plan, folder, "accepted"))[:-2]
    rows = {f"{slot}-0": "accept", f"{slot}-1": "reject", never_or_first(plan, folder, slot): "reject"}

    def cut(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(review_decisions.storage, moment, cut)
        with pytest.raises(KeyboardInterrupt):
            decide(plan, folder, rows)
    decide(plan, folder, rows)
    assert len(list(recheck(plan, folder, []))) == 0
    files = {str(path.relative_to(folder)) for path in (folder / "synthetic").rglob("*.png")}
    assert files == set(synthetic_manifest(plan, folder).frame["path"])


def never_or_first(plan, folder, slot):
    return next(name for name in names(plan, folder, "accepted") if not name.startswith(slot))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,decision\nx-0,rejct\n", r"line 2: decision 'rejct' is neither .* Did you mean 'reject'\?"),
        ("id,decision\nx-0,accept\n\nx-0,reject\n", "line 4: x-0 is decided in line 2 already"),
        ("id,decision,note\nx-0,accept,'a\n,accept,\n", "line 3: the id is missing"),
        ("name,decision\n", "line 1: the column id is missing; columns: name, decision"),
        ("", "line 1: the column id is missing; columns: none"),
        ('id,decision,note\nx-0,accept,"two\nlines"\ny-0,yes,\n', "line 4: decision 'yes'"),
        ('id,decision,note\nx-0,reject,\ny-0,reject,"blurry\nz-0,reject,\n', "line 3: the double quotes do not pair"),
        ("id,decision,note\nx-0,reject\n", "line 2 has 2 cells, but the header has 3"),
        ("id,decision,id\nx-0,reject,\n", "line 1: the column id occurs twice"),
        ("id,decision,note\nx-0,accept,\nx-0,,good\n", "line 3: x-0 is decided in line 2 already"),
        (
            'id,decision,note\nx-0,reject,"blur\nbag-000001-0a1b2c3d-0,reject,\ny-0,reject,end"\n',
            "line 2: the note .* contains the row of bag-000001-0a1b2c3d-0",
        ),
    ],
)
def test_a_row_that_cannot_be_used_is_named_by_its_line(tmp_path, text, message):
    path = tmp_path / "decisions.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        review_decisions.read_decisions(path)


def test_a_table_as_a_spreadsheet_saves_it_is_read(tmp_path):
    path = tmp_path / "decisions.csv"
    path.write_bytes("\ufeffID;Decision;Note\r\nx-0;Reject;blurred\r\nx-1;;\r\nx-2;;later\r\n".encode())
    assert [(d.id, d.decision, d.note, d.line) for d in review_decisions.read_decisions(path)] == [
        ("x-0", "reject", "blurred", 2),
        ("x-2", "", "later", 4),
    ]


def test_an_unknown_image_is_named_and_nothing_is_changed(plan, folder):
    name = names(plan, folder, "accepted")[0]
    with pytest.raises(DataError, match=r"line 3:.*'nobody-0'"):
        decide(plan, folder, {name: "reject", "nobody-0": "reject"})
    assert not revised_path(folder).exists()


def test_an_image_that_was_not_kept_cannot_be_accepted(plan, tmp_path):
    synthesize(plan, flat, folder=tmp_path, gates=[bright], quality=QualityOptions(max_attempts=1))
    name = never_accepted(plan, tmp_path)
    (path,) = (tmp_path / "rejected").rglob(f"{name}.png")
    path.write_bytes(b"other")
    with pytest.raises(DataError, match="changed since it was made"):
        decide(plan, tmp_path, {name: "accept"})
    path.unlink()
    with pytest.raises(DataError, match="its image was not kept"):
        decide(plan, tmp_path, {name: "accept"})


def test_a_class_name_is_never_a_formula(tmp_path):
    review_decisions.write_decisions(tmp_path / "d.csv", [{"id": "a-0", "class": "=1+1", "now": "accepted"}])
    assert (tmp_path / "d.csv").read_text() == "id,decision,note,class,now\na-0,,,'=1+1,accepted\n"
