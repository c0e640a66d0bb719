import pytest

from synaug.bench import COLUMNS, markdown, run_bench, table
from synaug.errors import OptionError


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
