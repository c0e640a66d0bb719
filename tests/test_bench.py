from dataclasses import replace

import numpy as np
import pytest

from synaug.bench import COLUMNS, EXPERIMENTS, UPPER_BOUNDS, Experiment, markdown, run_bench, table
from synaug.config import with_overrides
from synaug.data.readers import read_data
from synaug.errors import OptionError
from synaug.methods import METHODS


def result(method, seed, accuracy):
    return {"method": method, "seed": seed} | dict.fromkeys(COLUMNS, accuracy)


RESULTS = [
    result("cross_entropy", 0, 0.60),
    result("cross_entropy", 1, 0.70),
    result("synaug", 0, 0.80),
    result("synaug", 1, 0.80),
    result("upper_bound", 0, 0.85),
    result("upper_bound", 1, 0.85),
]


def test_the_table_has_mean_spread_and_the_share_of_the_gap_closed():
    rows = {row["method"]: row for row in table(RESULTS)}
    assert rows["cross_entropy"]["accuracy"] == pytest.approx(0.65)
    assert rows["cross_entropy"]["accuracy_std"] == pytest.approx(0.0707, abs=1e-4)
    assert rows["synaug"]["gap_closed"] == pytest.approx(0.75)
    assert rows["upper_bound"]["seeds"] == 2


def test_one_seed_has_no_spread_and_no_bound_no_gap():
    rows = table(RESULTS[:1])
    assert rows[0]["accuracy_std"] != rows[0]["accuracy_std"]
    assert rows[0]["gap_closed"] != rows[0]["gap_closed"]


def test_the_markdown_prints_percent_and_n_a():
    text = markdown({"table": table([RESULTS[0] | {"few": None}]), "seeds": [0], "machine": "a machine"})
    assert "| cross_entropy | 60.0 | 60.0 | 60.0 | n/a | 60.0 | n/a | 1 |" in text


def test_an_unknown_experiment_names_the_known(tmp_path):
    with pytest.raises(OptionError, match=r"Unknown experiment 'dmo'\. Did you mean 'demo'\?"):
        run_bench("dmo", tmp_path)


def test_the_bench_of_methods_has_all_that_need_no_groups():
    chosen = set(EXPERIMENTS["methods"].methods)
    assert chosen == {name for name, method in METHODS.items() if method.groups_from is None} - set(UPPER_BOUNDS)
    assert chosen > set(EXPERIMENTS["demo"].methods)


def test_more_methods_in_the_same_folder_share_the_images_and_results(photos, recipe, tmp_path, monkeypatch):
    def first(data, number):
        rows = np.concatenate([np.flatnonzero(data.labels == label)[:number] for label in range(data.num_classes)])
        return data.rows(rows)

    options = with_overrides(recipe, {"plan.target": "uniform"})
    few = Experiment(
        data=lambda _: first(read_data(photos, options.data), 10),
        recipe=lambda: options,
        filled=lambda data: first(data, 6),
        methods=("cross_entropy", "synaug_stage1"),
    )
    monkeypatch.setitem(EXPERIMENTS, "few", few)
    monkeypatch.setitem(EXPERIMENTS, "more", replace(few, methods=(*few.methods, "synaug_tau_norm")))
    run_bench("few", tmp_path, seeds=[0])
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    content = run_bench("more", tmp_path, seeds=[0])
    assert {row["method"] for row in content["table"]} == {
        "cross_entropy", "synaug_stage1", "synaug_tau_norm", "upper_bound", "upper_bound_retrained",
    }  # fmt: skip
    assert times
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
