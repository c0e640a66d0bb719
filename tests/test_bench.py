import csv
import importlib.util
import io
import json
import math
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import yaml

from synaug.bench import (
    QUESTIONS,
    experiment_names,
    markdown,
    read_experiment,
    run_bench,
    status,
    table_formats,
    tabulate,
)
from synaug.bench.experiments import PHOTOS, data_of
from synaug.bench.grid import CONTENT, RESULTS, cells, collect
from synaug.bench.table_formats import formatted
from synaug.config import ArmOptions, BenchOptions
from synaug.errors import DataError, Interrupted, OptionError
from synaug.methods import METHODS
from synaug.recipes import with_overrides
from synaug.runtime import signals
from synaug.runtime.embedded import demo_data

COLUMNS = ("accuracy", "many", "medium", "few", "worst_class")


def result(method, seed, accuracy, arm="text", **more):
    scores = dict.fromkeys(COLUMNS, accuracy)
    return {"row": method, "method": method, "arm": arm, "seed": seed, "seconds": 1.0, "uses_synthetic": False,
            **scores, **more}  # fmt: skip


DOCUMENTED = Path(__file__).parents[1] / "docs" / "results"
RESULTS_BY_HAND = [
    result("cross_entropy", 0, 0.60),
    result("cross_entropy", 1, 0.70),
    result("synaug", 0, 0.80),
    result("synaug", 1, 0.80),
    result("upper_bound", 0, 0.85),
    result("upper_bound", 1, 0.85),
]


def by_hand(results):
    return tabulate(results, columns=COLUMNS, baseline="cross_entropy", bounds=("upper_bound",))


def test_the_table_has_mean_spread_and_the_share_of_the_gap_closed():
    rows = {row["method"]: row for row in by_hand(RESULTS_BY_HAND)}
    assert rows["cross_entropy"]["accuracy"] == pytest.approx(0.65)
    assert rows["cross_entropy"]["accuracy_std"] == pytest.approx(0.0707, abs=1e-4)
    assert rows["synaug"]["gap_closed"] == pytest.approx(0.75)
    assert rows["upper_bound"]["gap_closed"] == pytest.approx(1.0)
    assert rows["synaug"]["seeds"] == 2


def test_without_an_upper_bound_no_gap_is_closed():
    assert all(math.isnan(row["gap_closed"]) for row in by_hand(RESULTS_BY_HAND[:4]))


def test_the_better_upper_bound_is_the_one_that_counts():
    better = result("upper_bound_retrained", 0, 1.0)
    rows = tabulate([*RESULTS_BY_HAND, better], columns=COLUMNS, baseline="cross_entropy",
                    bounds=("upper_bound", "upper_bound_retrained"))  # fmt: skip
    assert {row["method"]: row for row in rows}["synaug"]["gap_closed"] == pytest.approx((0.80 - 0.65) / (1.0 - 0.65))


def test_the_markdown_prints_percent_and_n_a():
    rows = by_hand([RESULTS_BY_HAND[0] | {"few": None}])
    text = markdown({"table": rows, "columns": COLUMNS, "seeds": [0], "machine": "a machine"})
    assert "| cross_entropy | 60.0 | 60.0 | 60.0 | n/a | 60.0 | n/a | 1 |" in text


def test_a_row_of_fewer_seeds_is_marked():
    content = {"columns": COLUMNS, "seeds": [0, 1], "machine": "a machine"}
    assert "| cross_entropy, 1 of the seeds |" in markdown(content | {"table": by_hand(RESULTS_BY_HAND[:1])})
    assert "of the seeds" not in markdown(content | {"table": by_hand(RESULTS_BY_HAND)})


@pytest.mark.parametrize("name", [name for name in experiment_names() if name != PHOTOS])
def test_every_experiment_names_only_existing_methods(name):
    from synaug.methods import check_methods
    from synaug.pipeline.prepare import check_recipe

    chosen = read_experiment(name)
    for cell in cells(chosen, Path("out"), [0]):
        check_recipe(cell.recipe)
        check_methods(chosen.arms[cell.arm].methods, cell.recipe)


def test_the_bench_of_methods_has_all_that_need_nothing_special():
    chosen = set(read_experiment("methods").arms["text"].methods)
    special = {"upper_bound", "upper_bound_mixup", "upper_bound_retrained", "pretrained_features", "linear_probe"}
    special |= {"dfr_val", "group_retrained", "synaug_group_retrained"}
    special |= {name for name, method in METHODS.items() if method.needs_pretrained}
    special |= {name for name, method in METHODS.items() if method.starts_from in special}
    assert chosen == {name for name, method in METHODS.items() if method.groups_from is None} - special
    demo = read_experiment("demo")
    kinds = {name: own.method or name for name, own in demo.recipe.methods.items()}
    assert chosen > {kinds.get(name, name) for name in demo.arms["text"].methods}


def test_the_folders_of_a_grid_follow_from_the_options_and_not_from_single_methods(tmp_path):
    chosen = read_experiment("demo", arms=["text"])

    def folders(changes):
        changed = type(chosen)(with_overrides(chosen.recipe, changes), chosen.arms, None)
        return [cell.folder.name for cell in cells(changed, tmp_path, [0, 1])]

    usual = folders({})
    assert len(set(usual)) == 2
    assert folders({"methods": {}}) == usual
    assert not set(folders({"train.stage1.steps": 7})) & set(usual)


@pytest.fixture
def small(recipe, photos, tmp_path):
    """An experiment file on three classes: two arms, one of which uses the images of the first seed for all seeds."""
    bench = {
        "arms": {
            "text": {"methods": ["cross_entropy", "synaug_stage1"]},
            "again": {"one_pool": True, "methods": ["without_synthetic"]},
        },
        "curves": {
            "study": {
                "label": "arm",
                "x": [0, 1],
                "lines": {"accuracy": ["cross_entropy", "without_synthetic (again)"]},
            }
        },
    }
    own = {"without_synthetic": {"method": "synaug_stage1", "images": {"synthetic_per_class": 0}}}
    content = recipe.model_dump(mode="json") | {"bench": bench, "methods": own}
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return read_experiment(str(path), data=photos)


def test_a_grid_is_run_once_gathered_and_drawn(small, tmp_path):
    out = tmp_path / "out"
    content = run_bench(small, out, seeds=[0, 1])
    assert [row["row"] for row in content["table"]] == ["cross_entropy", "synaug_stage1", "without_synthetic (again)"]
    assert all(row["seeds"] == 2 for row in content["table"])
    assert {path.name for path in out.glob("*.png")} == {"bars.png", "classes.png", "study.png"}
    lines = [json.loads(line) for line in (out / RESULTS).read_text().splitlines()]
    assert len(lines) == 6
    assert all({"recipe", "versions", "machine", "options", "seed", "seconds"} <= set(line) for line in lines)
    before = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*.json")}
    again = run_bench(small, out, seeds=[0, 1])
    assert again["results"] == json.loads((out / CONTENT).read_text())["results"]
    assert before == {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*.json")}
    assert [row["results"] for row in status(small, out, seeds=[0, 1])] == [2, 2, 2]


def test_a_result_of_other_options_is_neither_counted_nor_shown(small, tmp_path):
    out = tmp_path / "out"
    run_bench(small, out, seeds=[0])
    changed = with_overrides(small.recipe, {"methods": {"cross_entropy": {"stage1": {"weight_decay": 0.5}}}})
    changed = replace(small, recipe=changed, arms={"text": small.arms["text"]})
    assert [row["results"] for row in status(changed, out, seeds=[0])] == [1]
    assert [row["row"] for row in collect(changed, out, [0])["table"]] == ["synaug_stage1"]


def test_a_grid_resumes_from_its_result_lines_alone(small, tmp_path):
    first = replace(small, arms={"text": small.arms["text"].model_copy(update={"methods": ("cross_entropy",)})})
    run_bench(first, tmp_path / "first", seeds=[0])
    line = json.loads((tmp_path / "first" / RESULTS).read_text())
    out = tmp_path / "second"
    out.mkdir()
    arm = replace(small, arms={"text": small.arms["text"]})
    (out / RESULTS).write_text(json.dumps(line | {"accuracy": "0.125"}) + "\n")
    with pytest.raises(DataError, match=r"results.jsonl, line 1 is damaged: accuracy"):
        status(arm, out, seeds=[0])
    (out / RESULTS).write_text(json.dumps(line | {"accuracy": 0.125}) + "\n")
    assert [row["results"] for row in status(arm, out, seeds=[0])] == [1]
    content = run_bench(arm, out, seeds=[0])
    assert [row["row"] for row in content["table"]] == ["cross_entropy", "synaug_stage1"]
    assert content["results"][0]["accuracy"] == 0.125  # taken from the line, not trained again
    assert [row["results"] for row in status(arm, out, seeds=[0])] == [2]


def test_a_line_of_other_images_or_options_is_not_taken(small, tmp_path):
    arm = replace(small, arms={"text": small.arms["text"]})
    content = run_bench(arm, tmp_path / "first", seeds=[0])
    out = shutil.copytree(tmp_path / "first", tmp_path / "second")
    for path in out.rglob("result.json"):
        path.unlink()
    kept = {result["method"]: result for result in content["results"]}
    kept["synaug_stage1"]["synthetic"] = "of other images"
    kept["cross_entropy"]["options"]["train"]["stage1"]["weight_decay"] = 0.25
    (out / RESULTS).write_text("".join(json.dumps(line) + "\n" for line in kept.values()))
    assert [row["results"] for row in status(arm, out, seeds=[0])] == [0]


def test_several_processes_run_the_grid_and_stop_when_the_first_is_stopped(small, tmp_path):
    out, seen = tmp_path / "out", []

    def ask(stage, done, total, note):
        seen.append((stage, done, total))
        signals.request()

    with signals.graceful(), pytest.raises(Interrupted):
        run_bench(small, out, seeds=[0, 1], jobs=2, progress=ask)
    assert seen[0][0] == "running the grid"
    assert seen[0][2] == 3
    assert sum(row["results"] for row in status(small, out, seeds=[0, 1])) < 6  # the unfinished work was not completed
    content = run_bench(small, out, seeds=[0, 1], jobs=2)
    assert [row["seeds"] for row in content["table"]] == [2, 2, 2]


@pytest.mark.long
def test_processes_that_do_not_respond_are_killed(small, tmp_path, monkeypatch):
    out, stopped = tmp_path / "out", []
    monkeypatch.setattr(signals, "PATIENCE", 0.5)

    def stop_them(*_):
        for child in multiprocessing.active_children():
            os.kill(child.pid, signal.SIGSTOP)  # now only SIGKILL reaches it
            stopped.append(child.pid)
        signals.request()

    with signals.graceful(), pytest.raises(Interrupted):
        run_bench(small, out, seeds=[0, 1], jobs=2, progress=stop_them)
    assert stopped
    assert not any(psutil.pid_exists(number) for number in stopped)
    assert [row["seeds"] for row in run_bench(small, out, seeds=[0, 1])["table"]] == [2, 2, 2]


IN_TWO_PROCESSES = """
import sys
from pathlib import Path
from synaug.runtime import signals
from synaug.bench.experiments import read_experiment
from synaug.bench.grid import run_bench
signals.PATIENCE = 1.0
if __name__ == "__main__":
    recipe, photos, out = map(Path, sys.argv[1:])
    run_bench(read_experiment(str(recipe), data=photos), out, seeds=[0, 1], jobs=2)
"""


def test_processes_of_a_killed_one_end_by_themselves(small, photos, tmp_path):
    script, out = tmp_path / "script.py", tmp_path / "out"
    script.write_text(IN_TWO_PROCESSES)
    with subprocess.Popen([sys.executable, script, tmp_path / "small.yaml", photos, out]) as process:
        wait_until(lambda: list(out.rglob("journal")), "images are being made")
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert len(workers) >= 2
    wait_until(lambda: not any(worker.is_running() for worker in workers), "the others end")
    assert [row["seeds"] for row in run_bench(small, out, seeds=[0, 1])["table"]] == [2, 2, 2]


def wait_until(is_so, what):
    deadline = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_an_experiment_like_another_takes_its_options():
    demo, methods = read_experiment("demo").recipe, read_experiment("methods").recipe
    assert methods.model_copy(update={"name": "demo", "bench": demo.bench}) == demo


def test_an_experiment_like_another_may_have_versions_of_methods(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("methods: {deep: {method: focal}}\nbench: {like: demo, arms: {text: {methods: [deep]}}}\n")
    recipe, demo = read_experiment(str(path), data=demo_data()).recipe, read_experiment("demo").recipe
    assert set(recipe.methods) == {*demo.methods, "deep"}
    assert recipe.train == demo.train


def test_an_experiment_like_another_has_no_options_of_its_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("seed: 3\nbench: {like: demo, arms: {text: {methods: [cross_entropy]}}}\n")
    with pytest.raises(OptionError, match="remove all sections except 'methods'"):
        read_experiment(str(path))


def test_the_users_images_are_not_filled_up_with_those_of_the_demo(tmp_path, photos):
    path = tmp_path / "mine.yaml"
    path.write_text("bench: {arms: {text: {filled: true, methods: [upper_bound]}}}\n")
    with pytest.raises(OptionError, match="which only mirrors and the demo have"):
        read_experiment(str(path), data=photos)


def test_an_arm_that_is_filled_has_one_target_for_all_classes():
    experiment = read_experiment("fashion-lt")
    recipe = with_overrides(experiment.recipe, {"plan.target": {"bag": 9}})
    with pytest.raises(OptionError, match=r"'filled'.*plan.target"):
        data_of(experiment, ArmOptions(filled=True), recipe)


def test_a_recipe_without_arms_is_refused(tmp_path):
    path = tmp_path / "plain.yaml"
    path.write_text("name: plain\n")
    with pytest.raises(OptionError, match="no section 'bench'"):
        read_experiment(str(path))


def test_an_experiment_of_real_data_needs_its_images(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("bench: {arms: {text: {methods: [cross_entropy]}}}\n")
    with pytest.raises(OptionError, match="needs images: --data"):
        read_experiment(str(path))


def test_a_missing_experiment_file_is_named(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_experiment(str(tmp_path / "nothing.yaml"))


def test_the_command_lists_experiments_and_arms(synaug):
    assert "fashion-lt" in synaug("bench", "--list").out.split()
    assert "fashion-lt" in json.loads(synaug("bench", "--list", "--json").out)
    assert set(QUESTIONS) == set(experiment_names())
    assert synaug("bench", "fashion-spurious", "--list").out.startswith("text: cross_entropy, synaug_no_mixing")


def test_the_command_prints_the_progress_and_the_results_of_a_grid(synaug, tmp_path):
    where = ("fashion-lt", "--quick", "--arms", "text", "--out", tmp_path / "out")
    (row,) = json.loads(synaug("bench", *where, "--status", "--json").out)
    assert (row["results"], row["wanted"], row["planned"]) == (0, 5, None)
    assert "text-all-seeds" in synaug("bench", *where, "--status").out
    done = synaug("bench", *where, "--table")
    assert (done.code, "no results" in done.err) == (2, True)
    assert not (tmp_path / "out").exists()


def test_the_command_without_a_name_lists_the_experiments(synaug):
    ended = synaug("bench")
    assert ended.code == 2
    assert "demo, fashion-fair" in ended.err


@pytest.mark.parametrize("name", sorted({*experiment_names()} - {PHOTOS}))  # photos has no recipe and no lines
def test_the_results_on_the_pages_have_the_current_options(name, tmp_path):
    lines = (DOCUMENTED / f"{name.replace('-', '_')}.jsonl").read_bytes()
    (tmp_path / RESULTS).write_bytes(lines)
    found = status(read_experiment(name), tmp_path, seeds=range(10))
    assert sum(cell["results"] for cell in found) == lines.count(b"\n")


# ---------------------------------------------------------------- gaps, differences and equal budgets by hand


def line(row, seed, worst, *, synthetic=False, bound=False, validated=None):
    return {
        "row": row, "arm": "text", "method": row, "seed": seed, "uses_synthetic": synthetic, "is_bound": bound,
        "accuracy": 0.9, "worst": worst, "seconds": 1.0, "validation": {"mean_recall": validated},
    }  # fmt: skip


COMPARED = [
    *(line("cross_entropy", seed, value, validated=0.5) for seed, value in enumerate((0.2, 0.3, 0.4))),
    *(line("dfr", seed, value, validated=0.8) for seed, value in enumerate((0.7, 0.8, 0.9))),
    *(line("group_dro", seed, value, validated=0.7) for seed, value in enumerate((0.8, 0.9, 1.0))),
    *(line("mine", seed, value, synthetic=True, validated=0.6) for seed, value in enumerate((0.75, 0.85, 0.96))),
    *(line("any_name", seed, 1.0, bound=True, validated=0.9) for seed in range(3)),
]


def compared(**more):
    options = {"columns": ("worst",), "baseline": "cross_entropy", "bounds": ("any_name",)}
    return {row["row"]: row for row in tabulate(COMPARED, **options, **more)}


def test_the_gap_is_of_the_first_column_and_has_an_interval():
    row = compared()["mine"]
    assert row["gap_closed"] == pytest.approx((0.8533333 - 0.3) / 0.7)
    assert row["gap_low"] < row["gap_closed"] < row["gap_high"]


def test_a_row_is_compared_with_the_best_rival_on_validation_images_seed_by_seed():
    row = compared()["mine"]
    assert row["rival"] == "dfr"  # group_dro is better on the test images, which do not count
    assert row["difference"] == pytest.approx(0.16 / 3)
    assert 0 < row["difference_low"] < row["difference"] < row["difference_high"]
    assert "against dfr" in markdown({"table": list(compared().values()), "columns": ["worst"], "seeds": [0, 1, 2],
                                      "machine": "a machine"})  # fmt: skip


def test_the_rival_of_a_gap_has_the_smallest_one_and_as_many_seeds_as_any():
    gaps = {"cross_entropy": 0.9, "dfr": 0.2, "group_dro": 0.4}
    lines = [
        line(row, seed, 0.5, validated=None) | {"difference": gap, "validation": {"difference": gap}}
        for row, gap in gaps.items()
        for seed in ((0,) if row == "dfr" else (0, 1))
    ]
    rows = tabulate(lines, columns=["difference"], baseline="cross_entropy", bounds=(), tuned_by="difference")
    assert {row["rival"] for row in rows} == {"group_dro"}


def test_the_best_candidate_is_chosen_on_validation_images():
    tuned = compared(tuned={"best": ("dfr", "group_dro"), "unknown": ("dfr", "missing")})
    assert (tuned["best"]["chosen"], tuned["best"]["worst"]) == ("dfr", pytest.approx(0.8))
    assert "unknown" not in tuned


def test_rows_have_equal_budgets():
    BenchOptions(tuned={"ours": ("a", "b"), "theirs": ("c", "d")})
    with pytest.raises(ValueError, match=r"candidates.*ours 2, theirs 1"):
        BenchOptions(tuned={"ours": ("a", "b"), "theirs": ("c",)})


def test_the_tables_of_the_pages_are_those_of_the_committed_lines():
    spec = importlib.util.spec_from_file_location(
        "result_tables", DOCUMENTED.parents[1] / "scripts" / "result_tables.py"
    )
    scripts = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scripts)
    pages = {path.name: path.read_text(encoding="utf-8") for path in DOCUMENTED.glob("*.md")}
    assert sum(len(scripts.PLACE.findall(page)) for page in pages.values()) >= 1
    for name, page in pages.items():
        assert scripts.renewed(page) == page, f"{name}: run python scripts/result_tables.py"


# ---------------------------------------------------------------- the table in other formats

CONTENT_BY_HAND = {"columns": COLUMNS, "seeds": [0, 1], "machine": "a machine, 100 % busy"}


def test_latex_has_the_cells_of_the_markdown_escaped_and_the_best_row_bold():
    content = CONTENT_BY_HAND | {"table": by_hand(RESULTS_BY_HAND)}
    text = formatted(content, "latex")
    lines = text.splitlines()
    assert lines[0].startswith("% Percent")
    assert lines[1].startswith(r"\begin{tabular}{lr")
    body = [line for line in lines[5:] if " & " in line]
    assert len(body) == len(content["table"])
    assert r"cross\_entropy" in text
    assert "±" not in text
    assert text.count(r"\textbf") >= 1
    bounds = [row["row"].replace("_", r"\_") for row in content["table"] if row["is_bound"]]
    assert not any(r"\textbf" in line for line in body if line.startswith(tuple(bounds)))


@pytest.mark.parametrize("letters", ["\\&%$#_{}~^<>", "été", "a\x1b[31m"])
def test_latex_escapes_whatever_a_method_is_called(letters):
    escaped = table_formats.escape(letters)
    assert "\x1b" not in escaped
    assert not set("&%$#_") & set(re.sub(r"\\[a-zA-Z]+(\{\})?|\\[&%$#_{}]", "", escaped))


def test_csv_has_the_fractions_and_empty_cells_for_undefined_ones():
    content = CONTENT_BY_HAND | {"table": by_hand(RESULTS_BY_HAND)}
    rows = list(csv.DictReader(io.StringIO(formatted(content, "csv"))))
    for row, expected in zip(rows, content["table"], strict=True):
        assert row["row"] == expected["row"]
        assert float(row[COLUMNS[0]]) == expected[COLUMNS[0]]
        assert (row["gap_closed"] == "") == math.isnan(expected["gap_closed"])


def test_an_unknown_format_names_the_nearest(synaug):
    done = synaug("bench", "demo", "--table", "--format", "latx")
    assert (done.code, "latex" in done.err) == (2, True)
