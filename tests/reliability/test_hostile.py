"""Test hostile and broken input: a clear error or a named quarantine, the right exit code, nothing executed."""

import contextlib
import csv
import datetime
import json
import os
import pickle
import resource
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from synaug import experiment
from synaug.config import DataOptions
from synaug.data.readers import read_data
from synaug.errors import DataError, EnvironmentFault, OptionError, SynaugError
from synaug.evaluation.predictions import evaluate_predictions, read_predictions
from synaug.pipeline import export as export_stage
from synaug.pipeline.run_results import finished_results
from synaug.recipes import make_recipe, read_recipe
from synaug.run_directory import Run, RunPaths
from synaug.runtime import storage
from synaug.synthesis.generators.models.model_sources import find_model

STRANGE = ("<script>alert(1)<&>", "=HYPERLINK(1)", "\u202egnp.tac", "😀", "é" * 127)  # the last: 254 bytes
LONG = settings(max_examples=3000, suppress_health_check=list(HealthCheck))
SHORT = settings(max_examples=40, suppress_health_check=list(HealthCheck))


def noise(prompts, *, seeds):
    return [Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)) for seed in seeds]


# ---------------------------------------------------------------- images and their names


@pytest.fixture
def tree(tmp_path, save_image):
    """Two classes of four good images, to add bad ones to."""
    root = tmp_path / "photos"
    for label in ("cat", "dog"):
        for number in range(4):
            save_image(root / label / f"{number}.png", seed=number + 10 * len(label) + ord(label[0]))
    return root


def odd_images():
    gray = np.arange(64, dtype=np.uint8).reshape(8, 8)
    animated = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    palette = Image.fromarray(gray).convert("P")
    return {
        "cmyk.jpg": lambda path: Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(path),
        "deep.png": lambda path: Image.fromarray(gray.astype(np.uint16) * 900).save(path),
        "palette.png": lambda path: palette.save(path, transparency=3),
        "animated.gif": lambda path: animated[0].save(path, save_all=True, append_images=animated[1:]),
        "gray.png": lambda path: Image.fromarray(gray).save(path),
        "one.png": lambda path: Image.new("RGB", (1, 1)).save(path),
        "png.jpg": lambda path: Image.new("RGB", (8, 8)).save(path, "PNG"),
    }


BROKEN = {
    "empty.png": lambda path: path.write_bytes(b""),
    "text.jpg": lambda path: path.write_text("no image"),
    "cut.jpg": lambda path: (Image.new("RGB", (64, 64)).save(path), path.write_bytes(path.read_bytes()[:400])),
    "bomb.png": lambda path: Image.new("1", (20_000, 20_000)).save(path),
    "page.png": lambda path: path.write_text("<svg onload='alert(1)'/>"),
}


def test_odd_images_are_read_and_broken_ones_named(tree):
    for name, write in (odd_images() | BROKEN).items():
        write(tree / "cat" / name)
    manifest = read_data(tree, DataOptions(max_unreadable=0.5))
    assert {Path(item.path).name for item in manifest.quarantined} == set(BROKEN)
    assert set(odd_images()) <= {Path(name).name for name in manifest.frame["id"]}


def test_the_command_leaves_them_out_and_ends_with_4_if_they_are_many(synaug, tree):
    BROKEN["cut.jpg"](tree / "cat" / "cut.jpg")
    done = synaug("count", tree)
    assert (done.code, "cut.jpg" in done.err) == (4, True)


@pytest.mark.parametrize(
    "name", ["new\nline.png", "😀.png", "\u202egnp.png", "a" * 251 + ".png", "=1+1.png", "%s{0}.png"]
)
def test_strange_file_names_are_read(tree, name):
    shutil.copy(tree / "cat" / "0.png", tree / "cat" / name)
    assert f"cat/{name}" in set(read_data(tree).frame["id"])


def test_a_file_name_that_is_not_utf8_is_quarantined(tree):
    shutil.copy(tree / "cat" / "0.png", os.fsencode(tree / "cat") + b"/\xff.png")
    with pytest.raises(DataError, match=r"cat/\\udcff\.png.*UTF-8"):
        read_data(tree)
    manifest = read_data(tree, DataOptions(max_unreadable=0.2))
    assert [item.path for item in manifest.quarantined] == ["cat/\\udcff.png"]
    assert len(manifest) == 8


def test_a_tree_is_read_with_few_open_files(tree):
    for number in range(300):
        os.link(tree / "cat" / f"{number % 4}.png", tree / "dog" / f"link-{number}.png")
    open_now, (soft, hard) = len(os.listdir("/proc/self/fd")), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 30, hard))
    try:
        assert len(read_data(tree)) == 308
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(os.listdir("/proc/self/fd")) <= open_now


@pytest.mark.long
def test_a_hundred_thousand_tiny_files(tree):
    for number in range(100_000):
        os.link(tree / "cat" / f"{number % 4}.png", tree / "dog" / f"link-{number}.png")
    assert len(read_data(tree)) == 100_008


# ---------------------------------------------------------------- class names through all stages


@pytest.fixture(scope="module")
def strange_run(tmp_path_factory):
    """A run with class names that a page, a spreadsheet or a shell might interpret."""
    work = tmp_path_factory.mktemp("strange")
    for number, name in enumerate(STRANGE):
        for row in range(4):
            pixels = np.random.default_rng([number, row]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(storage.make_folder(work / "photos" / name) / f"{row}.png")
    options = {
        "plan": {"model": "embedded", "target": 5, "template": "a {class}"},
        "quality": {"gates": ["broken"]},
        "cross_validate": {"folds": 0},
        "train": {"network": "resnet8", "image_size": 8, "stage1": {"steps": 1, "batch_size": 4}},
    }
    experiment.run(work / "photos", work / "run", make_recipe(options), generator=noise, methods=("synaug_stage1",))
    return work / "run"


def test_no_class_name_becomes_part_of_the_page(strange_run):
    page = (strange_run / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_no_cell_is_a_formula_and_the_names_come_back(strange_run):
    with open(strange_run / "predictions.csv", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]
    scores = evaluate_predictions(read_predictions(strange_run / "predictions.csv"))
    assert set(scores["per_class"]) == set(STRANGE)
    recipe = make_recipe(storage.read_json(strange_run / "synaug.lock.json")["recipe"])
    (result,) = finished_results(RunPaths(strange_run), recipe)
    assert scores["accuracy"] == pytest.approx(result["accuracy"])


def test_strange_names_survive_the_export(strange_run, tmp_path):
    export_stage.export(Run.open(strange_run), tmp_path / "out")
    assert {folder.name for folder in (tmp_path / "out" / "train").iterdir() if folder.is_dir()} == set(STRANGE)


def test_an_export_that_is_there_already_is_left_as_it_is(strange_run, tmp_path, monkeypatch):
    with monkeypatch.context() as yesterday:
        date = SimpleNamespace(today=lambda: datetime.date(2001, 1, 1))
        yesterday.setattr(export_stage, "datetime", SimpleNamespace(date=date))
        export_stage.export(Run.open(strange_run), tmp_path / "out")
    before = (tmp_path / "out" / "SHA256SUMS").stat().st_mtime_ns
    export_stage.export(Run.open(strange_run), tmp_path / "out")
    assert (tmp_path / "out" / "SHA256SUMS").stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    sums = tmp_path / "out" / "SHA256SUMS"
    sums.write_text(sums.read_text().replace("a", "b"))
    with pytest.raises(OptionError, match="exists and is not empty"):
        export_stage.export(Run.open(strange_run), tmp_path / "out")


# ---------------------------------------------------------------- recipes

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, "more than 100,000 values"),
        (LAUGHS + "methods: {cross_entropy: {stage1: {mixing: *a9}}}", "more than 100,000 values"),
        ("plan: &a {aliases: {x: *a}}", "or contains itself"),
        ("[" * 20_000, "nested too deeply"),
        ("created: 2020-99-99", "is not YAML"),
        ("plan: {target: .inf}", "target must be"),
        ("plan: {target: .nan}", "target must be"),
        ("1: 2", "Unknown option '1'"),
        ("bench: {arm: {}}", "Unknown option 'bench.arm'. Did you mean 'bench.arms'"),
        (
            "methods: {mine: {networks: x}}",
            "Unknown option 'methods.mine.networks'. Did you mean 'methods.mine.network'",
        ),
        ("name: " + "[x, " * 20 + "]" * 20, "name must be text"),
        ("? [a, b]\n: c", "is not YAML"),
    ],
)
def test_a_hostile_recipe_is_refused_in_few_words(tmp_path, text, words):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises((DataError, OptionError), match=words) as caught:
        read_recipe(tmp_path / "r.yaml")
    assert len(str(caught.value)) < 2000


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["plan", "target", "methods", "stage1", "x", "seed"]) | st.integers(), inner)
    ),
    max_leaves=8,
)
SECTIONS = st.dictionaries(
    st.sampled_from(["data", "plan", "generate", "quality", "train", "methods", "seed", "name", "bench", "no"]), VALUES
)


def read_or_refuse(folder, name, data, read):
    (folder / name).write_bytes(data)
    with contextlib.suppress(SynaugError):
        read(folder / name)


def fuzz_recipes(folder, content):
    read_or_refuse(folder, "r.yaml", yaml.safe_dump(content).encode(), read_recipe)


# ---------------------------------------------------------------- tables, pickles, models

CELLS = st.sampled_from(
    ["path", "label", "split", "0.png", "a", "", "nan", "1e999", '"', "\n", ";", "\t", "\ufeff", "=1", "..", "\0", "'"]
) | st.text(max_size=4)


def fuzz_tables(folder, rows, suffix, start):
    text = start + "\n".join(",".join(row) for row in rows)
    read_or_refuse(folder, f"t{suffix}", text.encode(errors="surrogatepass"), read_data)


TABLES = (
    st.lists(st.lists(CELLS, max_size=4), max_size=6),
    st.sampled_from([".csv", ".tsv", ".jsonl"]),
    st.sampled_from(["", "path,label\n", "path,label,split\n0.png,a,", '{"path": "0.png", "label": ']),
)


@SHORT
@given(SECTIONS)
def test_any_recipe_is_read_or_refused(tmp_path_factory, content):
    fuzz_recipes(tmp_path_factory.getbasetemp(), content)


@SHORT
@given(*TABLES)
def test_any_table_is_read_or_refused(tmp_path_factory, rows, suffix, start):
    fuzz_tables(tmp_path_factory.getbasetemp(), rows, suffix, start)


@SHORT
@given(st.integers(0, 5000), st.integers(0, 255))
def test_a_parquet_file_with_a_changed_byte_is_read_or_refused(strange_run, tmp_path_factory, position, value):
    data = bytearray((strange_run / "data.parquet").read_bytes())
    data[position % len(data)] = value
    read_or_refuse(tmp_path_factory.getbasetemp(), "m.parquet", bytes(data), lambda path: read_data(path, check=False))


@pytest.mark.long
@LONG
@given(SECTIONS)
def test_any_of_many_recipes_is_read_or_refused(tmp_path_factory, content):
    fuzz_recipes(tmp_path_factory.getbasetemp(), content)


@pytest.mark.long
@LONG
@given(*TABLES)
def test_any_of_many_tables_is_read_or_refused(tmp_path_factory, rows, suffix, start):
    fuzz_tables(tmp_path_factory.getbasetemp(), rows, suffix, start)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ('path,"la\nbel"\n', "no label column|cannot be read"),
        ("path;label\n", "line 2 has 1 cell, but the header has 2"),
    ],
)
def test_misleading_headers_are_refused(tmp_path, header, words):
    (tmp_path / "t.csv").write_text(header + "a.png,x\nb.png,y\n")
    with pytest.raises(DataError, match=words):
        read_data(tmp_path / "t.csv")


def test_a_quoted_cell_may_hold_line_ends_separators_and_quotes(tree):
    head = 'path,label,caption\r\ncat/0.png,cat,"two\r\nlines, and a ""word"""\r\n'
    (tree / "images.csv").write_bytes(f"{head}dog/0.png,dog,plain\r\n".encode())
    assert read_data(tree / "images.csv").frame["label"].tolist() == [0, 1]
    (tree / "images.csv").write_bytes(f'{head}dog/0.png,"dog\nhouse",plain\r\n'.encode())
    with pytest.raises(DataError, match=r"'dog\\nhouse' has a control character"):
        read_data(tree / "images.csv")


def test_json_lines_that_are_nested_deeply_are_bad_data(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"path": ' + "[" * 100_000 + "\n")
    with pytest.raises(DataError, match="line 1 is not JSON"):
        read_data(tmp_path / "t.jsonl")


class Trap:
    """Creates a folder when its pickle is loaded."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (self.place,)


def test_a_pickle_that_poses_as_cifar_is_never_loaded(synaug, tmp_path):
    trap = pickle.dumps(Trap(str(tmp_path / "sprung")))
    for name in ("train", "test", "meta", "data.pkl", "data.csv", "data.parquet", "data.jsonl"):
        (tmp_path / name).write_bytes(trap)
        assert synaug("count", tmp_path / name).code == 4
    (tmp_path / "cifar-100-python").mkdir()
    (tmp_path / "train").rename(tmp_path / "cifar-100-python" / "train")
    assert synaug("count", tmp_path / "cifar-100-python").code == 4
    assert not (tmp_path / "sprung").exists()
    pickle.loads(trap)  # proves that the trap works
    assert (tmp_path / "sprung").exists()


@pytest.fixture
def model(tmp_path):
    """The smallest valid model folder."""
    place = storage.make_folder(tmp_path / "model" / "unet").parent
    (place / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    (place / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"x")
    return place


@pytest.mark.parametrize("index", ["[]", "null", '"text"', "[" * 100_000, '{"_class_name": 7}', "\xff"])
def test_a_strange_index_of_a_model_is_refused(model, index):
    (model / "model_index.json").write_text(index, encoding="latin-1")
    with pytest.raises(EnvironmentFault, match=r"damaged|custom code"):
        find_model(str(model))


def test_python_beside_the_weights_is_never_run(synaug, model, tree, tmp_path):
    (model / "pipeline.py").write_text(f"import os; os.mkdir({str(tmp_path / 'sprung')!r})")
    (model / "unet" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Trap(str(tmp_path / "sprung"))))
    done = synaug("run", tree, "--out", tmp_path / "run", "--model", model, "--target", 6)
    assert (done.code, "cannot be loaded" in done.err) == (5, True), done.err
    assert not (tmp_path / "sprung").exists()


# ---------------------------------------------------------------- secrets

TOKEN = "hf_" + "a1B2" * 9


def test_a_token_or_password_reaches_neither_log_nor_lock_file_nor_report(synaug, tree, tmp_path):
    done = synaug("count", f"https://me:secret@host/{TOKEN}")
    assert done.code == 4
    assert "secret" not in done.err
    assert TOKEN not in done.err
    (tmp_path / "r.yaml").write_text(json.dumps({"name": f"of {TOKEN} at https://me:secret@host"}))
    done = synaug("plan", tree, "--out", tmp_path / "run", "--model", "embedded", "--recipe", tmp_path / "r.yaml")
    assert done.code == 0, done.err
    for path in (tmp_path / "run").rglob("*"):
        assert path.is_dir() or not any(word in path.read_bytes() for word in (b"secret", TOKEN.encode()))


@pytest.mark.parametrize("model", ["https://me:secret@host/someone/tiny", "https://secret@host/m"])
def test_a_model_with_a_password_is_refused_before_it_is_written(synaug, tree, tmp_path, model):
    planned = synaug("plan", tree, "--out", tmp_path / "run", "--model", model)
    assert not (tmp_path / "run").exists()
    assert synaug("plan", tree, "--out", tmp_path / "run", "--model", "embedded").code == 0
    for done in (planned, synaug("generate", tmp_path / "run", "--model", model)):
        assert done.code == 2
        assert "not a URL; for a gated or private one log in with 'hf auth login' or set HF_TOKEN" in done.err
        assert "secret" not in done.err
    for path in (tmp_path / "run").rglob("*"):
        assert path.is_dir() or b"secret" not in path.read_bytes()
    with pytest.raises(OptionError, match="not a URL") as refused:  # from Python
        make_recipe({"plan": {"model": model}})
    assert "secret" not in str(refused.value)


def test_an_unforeseen_error_is_printed_without_the_token(synaug, tree, monkeypatch):
    def failing(*_, **__):
        raise RuntimeError(f"https://me:secret@host said no to {TOKEN}")

    monkeypatch.setattr("synaug.data.readers.list_images", failing)
    done = synaug("count", tree)
    assert done.code == 1
    assert "RuntimeError: https://***@host said no to ***" in done.err
    assert "secret" not in done.err
