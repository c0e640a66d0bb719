"""Test unusual input that no example shows: odd option values, typed tables, broken streams."""

import datetime
import json
import os
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from synaug.config import DataOptions, Recipe
from synaug.data.readers import read_data
from synaug.errors import OptionError, SynaugError
from synaug.evaluation.predictions import evaluate_predictions, read_predictions
from synaug.recipes import with_overrides
from synaug.synthesis.generators.loading import load_generator

ODD_OPTIONS = {
    "generate.size": (12, 10**9, -8, float("nan")),
    "generate.guidance": (float("inf"), float("-inf"), float("nan")),
    "generate.steps": (0, 10**30, 1.5),
    "generate.batch_size": (0, 10**9),
    "seed": (-1, 2**32, 10**40, float("inf")),
    "plan.seed": (2**32, "one"),
    "plan.target": (float("inf"), float("nan"), -1, 10**30),
    "train.stage1.learning_rate": (float("inf"), float("nan")),
    "train.stage1.batch_size": (1, -5),
    "train.image_size": (10**6, 0),
    "quality.max_missing": (float("nan"), 2),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ODD_OPTIONS.items() for value in values])
def test_an_option_out_of_range_is_refused_by_name(name, value):
    with pytest.raises(OptionError, match=name.split(".")[-1]):
        with_overrides(Recipe(), {name: value})


def test_more_steps_than_the_scheduler_has_are_refused_by_name():
    recipe = with_overrides(Recipe(), {"generate.steps": 9_999, "generate.batch_size": 1, "generate.device": "cpu"})
    with pytest.raises(OptionError, match=r"generate\.steps 9999.*1000 steps.*scheduler"):
        load_generator("embedded", recipe.generate)


COLUMNS = {
    "infinite": pa.array([float("inf"), 1.0] * 3),
    "huge": pa.array([1e300, 1.0] * 3),
    "unsigned": pa.array([2**64 - 1, 1] * 3, pa.uint64()),
    "decimal": pa.array([Decimal("1.5"), Decimal("2")] * 3),
    "date": pa.array([datetime.date(1, 1, 1), datetime.date(9999, 1, 1)] * 3),
    "time": pa.array([datetime.datetime(1, 1, 1), datetime.datetime(9999, 1, 1)] * 3),
    "list": pa.array([[1], [2]] * 3),
    "struct": pa.array([{"a": 1}, {"a": 2}] * 3),
    "images": pa.array([{"bytes": "/etc/passwd", "path": "x"}] * 6),
    "numbers": pa.array([{"bytes": 5, "path": "x"}] * 6),
    "binary": pa.array([b"a", b"\xff"] * 3),
    "null": pa.nulls(6),
    "category": pa.array(["a", "b"] * 3).dictionary_encode(),
}


@pytest.mark.parametrize("column", ["path", "label", "split", "sex"])
@pytest.mark.parametrize("kind", COLUMNS)
def test_a_typed_table_is_read_or_refused(tmp_path, column, kind):
    for number in range(6):
        Image.fromarray(np.full((8, 8), 20 * number, np.uint8)).save(tmp_path / f"{number}.png")
    table = {"path": [f"{n}.png" for n in range(6)], "label": ["a", "b"] * 3, "sex": ["m", "f"] * 3}
    pq.write_table(pa.table(table | {column: COLUMNS[kind]}), tmp_path / "t.parquet")
    for read in (
        lambda: read_data(tmp_path / "t.parquet", DataOptions(attribute="sex")),
        lambda: evaluate_predictions(read_predictions(tmp_path / "t.parquet"), prediction=column, attributes=["sex"]),
    ):
        try:
            read()
        except SynaugError as error:
            assert str(error)  # noqa: PT017


@pytest.mark.parametrize("features", ["[]", '{"info": {"features": [1]}}', '{"info": 3}', "[" * 5000])
def test_the_schema_of_a_table_may_hold_anything(tmp_path, features):
    for number in range(2):
        Image.fromarray(np.full((8, 8), 20 * number, np.uint8)).save(tmp_path / f"{number}.png")
    table = pa.table({"path": ["0.png", "1.png"], "label": [0, 1]}).replace_schema_metadata({"huggingface": features})
    pq.write_table(table, tmp_path / "t.parquet")
    assert read_data(tmp_path / "t.parquet").class_names == ("0", "1")


HOSTILE = "\x1b]0;PWNED\x07\x1b[31mf"


@pytest.fixture
def hostile(tmp_path):
    """A table with escape sequences in its attribute and in a file name."""
    lines = ["path,label,sex"]
    for number in range(8):
        Image.fromarray(np.full((8, 8), 20 * number, np.uint8)).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{'ab'[number % 2]},{HOSTILE if number % 3 else 'm'}")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    folder = tmp_path / "photos"
    for label in "ab":
        (folder / label).mkdir(parents=True)
        (folder / label / f"z{HOSTILE}.png").write_text("no image")
    return tmp_path


def test_no_column_value_or_file_name_acts_on_the_terminal(hostile, synaug):
    counted = synaug("count", hostile / "t.csv", "--attribute", "sex")
    assert (counted.code, r"\x1b" in counted.out, "\x1b" in counted.out) == (0, True, False)
    as_json = synaug("count", hostile / "t.csv", "--attribute", "sex", "--json")
    assert "\x1b" not in as_json.out
    assert any(HOSTILE in name for name in json.loads(as_json.out)["group_counts"])
    refused = synaug("count", hostile / "photos")
    assert (refused.code, r"\x1b" in refused.err, "\x1b" in refused.err) == (4, True, False)


@pytest.mark.parametrize("closing", ["", "<&- >&- 2>&-", "2>&-", ">/dev/full"])
def test_closed_streams_full_disks_and_other_locales_end_without_a_traceback(hostile, closing):
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "PYTHONWARNINGS": ""}
    command = f"{sys.executable} -m synaug count {hostile / 't.csv'} {closing}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == (5 if "full" in closing else 0), done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
