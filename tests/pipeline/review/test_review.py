"""Test contact sheets and the decision table for manual review, and their effect on later stages."""

import csv
import json
import shutil
from html.parser import HTMLParser

import pytest

from synaug.data.export.writer import METADATA
from synaug.errors import OptionError
from synaug.pipeline import export as export_stage
from synaug.pipeline.review import review as review_stage
from synaug.pipeline.train import train
from synaug.run_directory import Run
from synaug.runtime import storage
from synaug.synthesis.execution.provenance import synthetic_manifest
from synaug.synthesis.planning.plan_file import read_plan


@pytest.fixture
def run(finished, tmp_path):
    """A private copy of a finished run."""
    return shutil.copytree(finished, tmp_path / "run")


def table(run):
    with open(run / "review" / "decisions.csv", newline="") as file:
        return list(csv.DictReader(file))


def fill_in(run, decisions):
    """Write decisions by image into the table, like an editor would."""
    rows = [row | {"decision": decisions.get(row["id"], row["decision"])} for row in table(run)]
    with open(run / "review" / "decisions.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


class Page(HTMLParser):
    """The tags, alternative texts and words of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.alts, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "img":
            self.alts.append(dict(attributes).get("alt"))
            assert dict(attributes)["src"].startswith("data:")

    def handle_data(self, data):
        self.text.append(data.strip())


def test_a_sheet_shows_every_image_of_its_class_with_its_name(synaug, run):
    done = synaug("review", run, "--json")
    content = json.loads(done.out)
    made = synthetic_manifest(read_plan(run / "plan.json"), run)
    assert (done.code, content["shown"], content["pending"]) == (0, len(made), 0)
    page = Page((run / "review" / "class-ankle-boot.html").read_text())
    names = {row["id"] for row in table(run) if row["class"] == "ankle boot"}
    assert len(names) == (made.labels == made.class_names.index("ankle boot")).sum() > 0
    assert names <= set(page.text)
    assert all(page.alts)
    assert "script" not in page.tags
    assert Page((run / "review" / "index.html").read_text()).tags.count("a") == len(content["sheets"])


def test_few_of_many_are_shown_with_a_note(synaug, run):
    content = json.loads(synaug("review", run, "--per-class", 2, "--json").out)
    assert content["shown"] == 2 * len(content["sheets"])
    assert "2 of 19 are shown" in (run / "review" / "class-ankle-boot.html").read_text()


def test_a_filled_in_table_holds_everything_up_until_it_is_applied(synaug, run):
    synaug("review", run)
    fill_in(run, {table(run)[0]["id"]: "reject"})
    for command in (("generate", run), ("train", run), ("export", run, "--out", run / "set")):
        done = synaug(*command)
        assert (done.code, f"synaug review {run} --apply" in done.err) == (2, True)
    assert json.loads(synaug("review", run, "--json").out)["pending"] == 1
    assert table(run)[0]["decision"] == "reject"


def test_decisions_are_obeyed_by_generation_training_export_and_report(synaug, run):
    synaug("review", run)
    first, second = [row["id"] for row in table(run)[:2]]
    fill_in(run, {first: "reject", second: "accept"})
    done = synaug("review", run, "--apply")
    assert (done.code, "synaug generate" in done.out) == (0, True)
    assert "not been generated yet" in synaug("train", run).err
    assert synaug("generate", run).code == 0
    made = synthetic_manifest(read_plan(run / "plan.json"), run)
    before = json.loads((run / "report.json").read_text())["results"]
    train(Run.open(run))
    report = json.loads(synaug("report", run, "--json").out)
    seconds = {r["method"]: r["seconds"] for r in before}
    changed = {r["method"] for r in report["results"] if r["seconds"] != seconds[r["method"]]}
    assert changed == {"synaug_stage1", "synaug"}
    assert report["synthesis"]["rejected"]["review"] == 1
    assert report["synthesis"]["review"] == {"accepted": 1, "rejected": 1, "overruled": {}}
    assert "Manual review accepted 1 image and rejected 1." in (run / "report.html").read_text()
    export_stage.export(Run.open(run), run.parent / "set")
    import pandas as pd

    exported = pd.read_parquet(run.parent / "set" / "train" / METADATA)
    assert set(made.frame["id"]) == set(exported["id"][exported["source"] == "synthetic"])
    assert exported["reviewed"].tolist().count("accept") == 1


def test_a_bad_row_stops_the_command_and_names_its_line(synaug, run):
    synaug("review", run)
    fill_in(run, {table(run)[3]["id"]: "perhaps"})
    before = (run / "review" / "decisions.csv").read_text()
    for more in ((), ("--apply",)):
        done = synaug("review", run, *more)
        assert (done.code, "decisions.csv, line 5: decision 'perhaps'" in done.err) == (4, True)
    assert (run / "review" / "decisions.csv").read_text() == before


def test_nothing_is_applied_while_images_are_made(synaug, run):
    from synaug.runtime import storage

    synaug("review", run)
    with storage.lock(run, name="worker-1-of-2"), pytest.raises(OptionError, match="in use"):
        review_stage.apply(Run.open(run))


def test_a_run_without_images_is_an_error_with_the_next_command(synaug, photos, tmp_path):
    synaug("plan", photos, "--out", tmp_path / "run", "--model", "embedded")
    done = synaug("review", tmp_path / "run")
    assert (done.code, "synaug generate" in done.err) == (4, True)


def test_deleted_images_are_an_error_that_names_the_way_out_and_it_works(synaug, finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    deleted = sorted((run / "synthetic").rglob("*.png"))[:2]
    for path in deleted:
        storage.remove_file(path)
    for command in (("retrain", run), ("report", run), ("export", run, "--out", tmp_path / "out")):
        done = synaug(*command)
        assert done.code == 4
        assert f"2 accepted images of {run} are missing" in done.err
        assert f"synaug check {run} --reject" in done.err
    assert synaug("check", run, "--reject").code == 0
    assert synaug("generate", run).code == 0
    assert synaug("retrain", run, "--methods", "cross_entropy").code == 0
